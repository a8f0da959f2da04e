"""Answer searches in processes that share one loaded collection (Linux).

    service ──── control ──── template ── forks ──> worker, worker, ...
       └─────────── one socket for each worker ────────┘

The template has one thread. It loads the collection and forks the workers, so that columns,
vectors and weights are in memory once. After a change of the collection it reads the change and
replaces the workers, one at a time. Nothing is lost when these processes are killed: they only
read.

pool.py      the service's side: starts the template, gives requests to workers
template.py  loads, forks, follows the collection
worker.py    answers
shared.py    what both of them hold
"""
