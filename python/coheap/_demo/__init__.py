"""The main job from Python: many processes count words while some of them are being killed.

    corpus -> items -> [ work queue -> workers -> dict ] -> compared with one process -> table, JSON

| file | what it knows |
|---|---|
| `text/` | which files are text, how they are cut, what a word is |
| `worker` `crew` `execution` | one process that counts; all of them; when one is killed |
| `report` `progress` `failure` | the table and the JSON; the bar; the exit status |
| `peer` `job` | the same job on `multiprocessing`; all of it, from arguments to exit status |
| `arguments` `signals` | what can be said; Ctrl-C |

What always holds: it is the job of the program `coheap`: same words, same options, same figures.
"""
