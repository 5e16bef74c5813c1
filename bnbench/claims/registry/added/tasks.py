"""A11: what a net forgets of tasks that came before, with BN and with LN.

These claims are additions, declared when others had been judged: a family of their own in the
adjustment of p-values (`judge.family_of`).
"""

from typing import Any

from bnbench.claims.curves import forgetting, right_after
from bnbench.claims.records import Above, Claim, ClaimPart, Target
from bnbench.claims.registry.parts import arms_of, more_accurate
from bnbench.claims.registry.setting import AT_BEST, LARGER, POINT, Setting
from bnbench.claims.statistics import compared, of_runs
from bnbench.claims.study import StudyArm

TASKS = 5
NEW = "@precise"
TOTAL = "test_tasks/accuracy"
STATISTIC = (
    "Forgetting: of each task but the last the test accuracy right after it was trained minus that "
    "at the end, averaged; -BWT of Lopez-Paz & Ranzato 2017."
)


def claims(on: Setting) -> list[Claim]:
    """Declare the claims on a data set."""
    return [forgets_more(on), statistics_forget(on)]


def arms() -> tuple[StudyArm, StudyArm, StudyArm]:
    """Name the arms with BN, with LN and without a norm."""
    arm = arms_of("claim_tasks", "norm.name")
    return arm("batchnorm"), arm("layernorm"), arm("none")


def protocol(on: Setting) -> str:
    """Tell nets, tasks and rates."""
    return (
        f"MLP 3×100, ReLU, {on.budget('tasks')}; the ten classes in their order, two in each task; "
        f"the loss is over all classes. Constant rates, {AT_BEST}, best by the mean over tasks of "
        "the accuracy at the end, on validation images. Images are scored by the logits of their "
        "own task's two classes alone (van de Ven & Tolias 2019, scenario 1)."
    )


def forgotten(one: StudyArm, words: str) -> ClaimPart:
    """Declare what an arm forgets, in pp."""
    return ClaimPart(f"forgetting (pp), {words}", of_runs(one, forgetting(TASKS)))


# A11a
def forgets_more(on: Setting) -> Claim:
    """A11a: forgetting with BN minus that with LN."""
    bn, layer, none = arms()

    def more(one: StudyArm, other: StudyArm, words: str, **how: Any) -> ClaimPart:
        target: Target | None = how.pop("target", None)
        choices = how.pop("choices", {})
        measure = compared(one, other, forgetting(TASKS, **how))
        interest = 1.0 if target else None
        return ClaimPart(
            f"forgetting (pp), {words}", measure, target, interest=interest, choices=choices
        )

    def at_rate(one: StudyArm, other: StudyArm) -> ClaimPart:
        measure = compared(one, other, forgetting(TASKS), tuning=True)
        return ClaimPart("forgetting (pp), BN minus LN", measure, Above(1.0), interest=1.0)

    words = "BN minus LN"
    return Claim(
        id="A11a",
        sentence=(
            "Where tasks come one after another, a net with BN forgets more of those before than "
            "one with LN."
        ),
        says=(
            "Pham et al. 2022, 2203.16102, abstract: BN 'normalizes the testing data using moments "
            "biased towards the current task, resulting in higher catastrophic forgetting'"
        ),
        experiments=("claim_tasks",),
        protocol=protocol(on),
        rule="Forgetting with BN higher than with LN by more than 1 pp.",
        why_statistic=(
            f"{STATISTIC} Chaudhry et al. 2018 take the best end of any task before the last in "
            "the place of the task's own: the largest of four accuracies lies above their means by "
            "chance; it is another choice. LN has no running statistics and is BN's usual stand-in."
        ),
        why_bound=POINT,
        would_change=f"{LARGER} The other sign at rates at which both learn each task alike.",
        parts={
            words: more(
                bn,
                layer,
                words,
                target=Above(1.0),
                choices={
                    "from the best end": more(bn, layer, words, target=Above(1.0), from_best=True),
                    "rate below": at_rate(bn.beside("below"), layer),
                    "rate above": at_rate(bn.beside("above"), layer),
                },
            ),
            "BN minus none": more(bn, none, "BN minus none"),
            "with BN": forgotten(bn, "with BN"),
            "with LN": forgotten(layer, "with LN"),
            "without a norm": forgotten(none, "without a norm"),
            "accuracy right after each task": ClaimPart(
                f"test accuracy right after each task (pp), {words}",
                compared(bn, layer, right_after(TASKS)),
            ),
            "accuracy over all tasks": more_accurate(
                bn, layer, words=f"mean over tasks, {words}", key=TOTAL
            ),
        },
        traps=(
            "A lower rate forgets less and learns less: rates are chosen by what is left of all "
            "tasks at the end, which counts both; accuracies right after each task, and over all "
            "at the end, stand beside, and the rates beside the best are other choices.",
            "Among all ten classes a net names the last two alone, whatever its norm: images are "
            "scored among the classes of their own task.",
        ),
        caveats=(
            "No method against forgetting is used; Pham et al. have memories of earlier images.",
            "One order of the classes, and perceptrons alone.",
        ),
    )


# A11b
def statistics_forget(on: Setting) -> Claim:
    """A11b: what new statistics win back of it."""
    bn, layer, _ = arms()
    head: dict[str, Any] = {
        "id": "A11b",
        "sentence": (
            "Most of what a net with BN forgets where tasks come one after another is its running "
            "statistics: new ones of images of all tasks win it back."
        ),
        "says": (
            "Pham et al. 2022, 2203.16102, abstract: the moments are biased towards the current "
            "task"
        ),
        "rule": (
            "It forgets more than 1 pp; with new statistics at the end less than half of that."
        ),
    }
    if on.data == "digits":
        return Claim(
            **head,
            experiments=(),
            protocol="MLP 3×100, ReLU, on digits.",
            reason=(
                "At the rate that leaves most of all tasks a net with BN forgets two to three "
                "points there (a first look on seeds 0 to 3), and half of that is less than one of "
                "the 72 test images of a task. It is judged on Fashion-MNIST."
            ),
        )

    def left(words: str, target: Target | None = None) -> ClaimPart:
        measure = compared(
            bn,
            bn,
            forgetting(TASKS),
            forgetting(TASKS, end_policy=NEW),
            compare=lambda forgot, still: forgot / 2 - still,
        )
        interest = 1.0 if target else None
        return ClaimPart(f"forgetting (pp), {words}", measure, target, interest=interest)

    to_win = ClaimPart(
        "forgetting (pp), with running statistics",
        of_runs(bn, forgetting(TASKS)),
        Above(1.0),
        interest=1.0,
    )
    return Claim(
        **head,
        experiments=("claim_tasks",),
        protocol=(
            f"{protocol(on)} New statistics are exact ones, of the first 1,000 training images, "
            "which are of all tasks, under the weights as they are."
        ),
        why_statistic=(
            f"{STATISTIC} The accuracy right after a task is with running statistics on both "
            "sides, the one at the end is of the same weights with either: nothing else differs."
        ),
        why_bound="More than half is most of it; a point is what there must be to win.",
        would_change=f"{LARGER} Statistics of images of the very task that is tested.",
        parts={
            "what there is to win": to_win,
            "won back beyond one half": left("half of it minus what is left", Above(0.0)),
            "won back": ClaimPart(
                "forgetting (pp), with running minus with new statistics at the end",
                compared(bn, bn, forgetting(TASKS), forgetting(TASKS, end_policy=NEW)),
            ),
            "left, BN minus LN": ClaimPart(
                "forgetting (pp), with new statistics at the end, BN minus LN",
                compared(bn, layer, forgetting(TASKS, end_policy=NEW), forgetting(TASKS)),
            ),
            "with new statistics from first to last": ClaimPart(
                "forgetting (pp), with new statistics at the end of each task",
                of_runs(bn, forgetting(TASKS, policy=NEW)),
            ),
            "new statistics right after each task": ClaimPart(
                "test accuracy right after each task (pp), new minus running statistics",
                compared(bn, bn, right_after(TASKS, NEW), right_after(TASKS)),
            ),
        },
        traps=(
            "New statistics may help or harm as such: what they do right after each task is a "
            "reading.",
            "They are of images of all tasks, old ones too, which who trains on tasks in a row may "
            "not have kept.",
        ),
        caveats=(
            "Batches in training were of one task: no statistics of all tasks are those that the "
            "weights were trained with.",
        ),
    )
