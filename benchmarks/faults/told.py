"""What a program should end with and say."""

from collections.abc import Sequence

from benchmarks.faults.stage import Outcome, Run, Stage


def told(case: str, run: Run, code: int | None, said: Sequence[str] = ()) -> Outcome:
    """The outcome of a run that has to end with a code, and to say some words.

    Args:
        case: what was done.
        run: what came of it.
        code: wanted; None for any but 0.
        said: words that have to be there, in any order; one with a leading "-" must not.
    """
    if run.code is None:
        return Outcome(case, ("hang",), run.said[-300:])
    faults, seen = [], []
    if run.code == 0 and code != 0:
        faults.append("silent")
        seen.append("exit code 0")
    elif run.code != code and code is not None:
        faults.append("wrong code")
        seen.append(f"exit code {run.code}, wanted {code}")
    flat = " ".join(run.said.split())
    missing = [word for word in said if not word.startswith("-") and word not in flat]
    unwanted = [word[1:] for word in said if word.startswith("-") and word[1:] in flat]
    if missing or unwanted:
        faults.append("silent")
        seen.append(f"not said: {missing}; said: {unwanted}")
    if faults:
        seen.append(run.said[-300:])
    return Outcome(case, tuple(dict.fromkeys(faults)), "; ".join(seen))


def right(case: str, is_right: bool, kind: str, seen: str) -> Outcome:
    """An outcome that is right, or has a fault of a kind."""
    return Outcome(case) if is_right else Outcome(case, (kind,), seen)


def refused(stage: Stage, case: str, words: Sequence[str], said: Sequence[str] = ()) -> Outcome:
    """A command that is refused: exit code 2, one message; of a plain script any error will do."""
    run = stage.run(words)
    if stage.is_plain:
        return told(case, run, None)
    return told(case, run, 2, ("lit-hf: error:", "-Traceback", *said))
