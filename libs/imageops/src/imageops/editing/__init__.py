"""Edits by instruction: words to effects (`instructions`), and the effects themselves.

Tones change each pixel alone, brushes paint the picture anew, optics know its surroundings.
"""
