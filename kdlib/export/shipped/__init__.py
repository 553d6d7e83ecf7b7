"""Files that go into every export as they are: they need numpy and onnxruntime, and nothing of kdlib."""
