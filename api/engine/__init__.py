"""vLLM servers: one as a supervised child of this process, or several by address."""
