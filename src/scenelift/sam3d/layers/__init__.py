"""Building blocks of the flow transformers and decoders: attention, norms, embeddings, blocks."""
