"""What several tests share: a server that follows a script, and the answers it gives."""
