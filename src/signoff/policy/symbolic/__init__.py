"""From Cedar policies to what a solver can be asked.

Every expression becomes a value and the condition under which it does not err; every policy
becomes the condition under which it is satisfied and the one under which it errs. What has no
exact counterpart becomes a free truth value, so that more requests seem possible than are:
what is then shown impossible is impossible.

Only this package imports z3, and it is imported only to prove: never on a request's path.
"""
