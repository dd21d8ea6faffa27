"""The main job from Python: many processes count words while some of them are being killed.

    corpus -> items -> [ work queue -> workers -> dict ] -> compared with one process -> table, JSON
                                       ^ killed and replaced by the crew

It is the job of `coheap demo` with workers in Python: the same words, the same table and the same
JSON. The exit status is 0 when every count is right, 1 when something failed or a count is wrong,
2 for arguments and paths that make no sense, 128 plus the signal after Ctrl-C or a polite `kill`.

Files
-----
| file | what it knows |
|---|---|
| `text/` | which files are text, how they are cut, what a word is |
| `worker` `crew` `execution` | one process that counts; all of them; when one is killed |
| `report` `progress` | the table and the JSON; the bar |
| `peer` | the same job on `multiprocessing` |
| `job` | all of it, from the arguments to the exit status |
| `arguments` `signals` `failure` | what can be said; Ctrl-C; how it ends |
"""
