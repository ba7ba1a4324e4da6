"""The Hugging Face Hub and its mirrors, and what other programs keep on this computer. No Qt."""
