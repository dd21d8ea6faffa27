"""The text that is counted: files, the pieces they are cut into, and the words in these.

| file | what it knows |
|---|---|
| `words` | what a word is, and how to count |
| `items` | how a text is cut into pieces for workers |
| `corpus` | which files are text |
"""
