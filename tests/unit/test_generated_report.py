"""Documents of a run on generated ones, before and after."""

from pathlib import Path

from trainer.generated_run.material import CHAMPION
from trainer.generated_run.report import changes_of
from trainer.stage import EXAMPLES, write_lines

RIGHT = '{"entities":[]}'


def test_the_right_answer_is_marked_right_whatever_a_penalty_says(tmp_path: Path) -> None:
    asked = [
        {
            "prompt": [{"role": "system", "content": "Read."}, {"role": "user", "content": text}],
            "completion": [{"role": "assistant", "content": RIGHT}],
        }
        for text in ("Ann was born.", "Bob works.")
    ]
    write_lines(tmp_path / "rows" / "holdout" / EXAMPLES, asked)
    answers = {CHAMPION: (("{}", 0.1), ("{}", 0.2)), "sft": ((RIGHT, 0.9), ("no", 0.1))}
    for name, given in answers.items():
        rows = [{"text": text, "rewards": {"reward": reward}} for text, reward in given]
        write_lines(tmp_path / "answers-holdout" / f"{name}.jsonl", rows)
    better, worse = changes_of(tmp_path, "graph", "sft")
    assert (better.text, better.before, better.after) == ("Ann was born.", 0.1, 0.9)
    assert [(field.before_score, field.after_score) for field in better.fields] == [(0.1, 1.0)]
    assert (worse.text, worse.fields[0].after_score) == ("Bob works.", 0.1)
