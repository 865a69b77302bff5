"""The engines that this installation can run itself, each as a child process."""
