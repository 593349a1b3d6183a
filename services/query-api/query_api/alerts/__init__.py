"""What the alerter announced: banner, firings and their mails."""
