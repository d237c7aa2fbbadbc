"""What IAM policies allow: read, judged and made smaller. The reading of effects is ours."""
