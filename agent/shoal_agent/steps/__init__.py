"""What an agent does around a task's process, one side effect a file, each safe to run twice."""
