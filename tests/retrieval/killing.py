"""A library's worst life: a child that adds and removes batches, and is killed. Used by test_kill.py, runnable by hand.

    python tests/retrieval/killing.py write SPEC SEED     adds and removes until it is killed; says each change once it is kept
    python tests/retrieval/killing.py check SPEC          prints as JSON what the library holds and whether it hangs together
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numpy.typing import NDArray

from retrieval import faiss_store
from retrieval.store import CaseRow, open_store

ENCODER = "f" * 64
DIM = 256
BATCH = 7


def vector_of(case_id: str) -> NDArray[np.float32]:
    """The one vector that belongs to an id, so that a row beside another's vector shows."""
    made = np.random.default_rng([*case_id.encode()]).normal(size=DIM).astype(np.float32)
    return made / np.linalg.norm(made)


def row_of(case_id: str) -> CaseRow:
    number = int(case_id.split("-")[1])
    return CaseRow(case_id, patient_key=number // 3, age_years=float(number % 90), where=f"set/{case_id}",
                   content_hash=f"{number:032x}")  # fmt: skip


def write(spec: str, seed: int) -> None:
    """Adds batches of 7 and now and then removes some cases, for ever. On stdout: "+ ids" and "- ids", each before ("begin") and
    after ("done") the change."""
    faiss_store.FOLD_AT = 40  # folding, the longest way a change takes, comes often
    rng = np.random.default_rng(seed)
    store = open_store(spec, encoder_hash=ENCODER, writable=True)
    there = sorted(store.matching_ids(None))
    number = 1 + max([int(i.split("-")[1]) for i in there], default=0)
    while True:
        if there and rng.random() < 0.3:
            ids = [str(i) for i in rng.choice(there, min(len(there), 4), replace=False)]
            print("begin -", *ids, flush=True)
            store.remove(ids)
            there = [i for i in there if i not in ids]
            print("done -", *ids, flush=True)
        else:
            ids = [f"c-{number + i}" for i in range(BATCH)]
            number += BATCH
            print("begin +", *ids, flush=True)
            store.add(ids, np.stack([vector_of(i) for i in ids]), [row_of(i) for i in ids])
            there += ids
            print("done +", *ids, flush=True)
        if rng.random() < 0.15:  # sealing and taking up again is part of a library's life
            store.close()
            store = open_store(spec, encoder_hash=ENCODER, writable=True)


def check(spec: str) -> None:
    """Opens as a reader would and says which ids there are, whether rows are what they were, and whether each vector is found."""
    store = open_store(spec, encoder_hash=ENCODER)
    ids = sorted(store.matching_ids(None))
    rows = store.get(ids)
    sound = store.count == len(ids) and all(rows[i] == row_of(i).normalised() for i in ids)
    if ids:
        wanted = np.stack([vector_of(i) for i in ids])
        sound &= bool((np.sum(store.vectors(ids) * wanted, axis=1) > 0.999).all())
        sound &= [hits[0][0] for hits in store.search(wanted, 1)] == ids
        sound &= store.with_content([rows[ids[0]].content_hash]) == {rows[ids[0]].content_hash: ids[0]}
    store.close()
    print(json.dumps({"ids": ids, "sound": bool(sound)}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
    else:
        check(sys.argv[2])
