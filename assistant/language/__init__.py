"""The language model: a small causal LM, a projector that lets it read ECG tokens, and LoRA adapters."""
