"""The 85 groups of faults: their names, tests that show them too, and why some are not shown."""

import re
from typing import NamedTuple


class Group(NamedTuple):
    """A group of faults.

    Attributes:
        name: what happens.
        shown_by: tests that show it, too or only; "data/cache::builds_once" is
            `tests/data/test_cache.py::test_builds_once`.
        why: the campaign itself does not show it, or not all of it.
    """

    name: str
    shown_by: tuple[str, ...] = ()
    why: str = ""

    @property
    def tests(self) -> list[str]:
        """Their whole names."""
        parts = [re.fullmatch(r"(.*/)?(\w+)::(\w+)", name) for name in self.shown_by]
        return [f"tests/{p[1] or ''}test_{p[2]}.py::test_{p[3]}" for p in parts if p]


GROUPS = {
    1: Group("kill -9 at random steps, 0 and 2 workers"),
    2: Group("kill -9 in a later epoch, 2 workers"),
    3: Group("kill -9 during validation"),
    4: Group("kill -9 before the first checkpoint, at the end of an epoch"),
    5: Group("two and three kills in one epoch"),
    6: Group("SIGTERM", ("stops::signal__ends_with_nothing_lost_and_nothing_twice",)),
    7: Group("SIGTERM between accumulated batches"),
    8: Group("a second signal while saving"),
    9: Group("Ctrl-C"),
    10: Group("SIGHUP, SIGUSR1"),
    11: Group("an exception in training_step"),
    12: Group(
        "an exception while a row is read",
        ("data/loading::error_in_a_worker__names_the_rows",),
    ),
    13: Group("kill -9 of a worker", ("data/loading::worker_killed__gives_advice",)),
    14: Group("a worker that hangs"),
    15: Group("MemoryError, CUDA errors", (), "of CUDA the messages alone, there is no GPU"),
    16: Group(
        "random augmentation",
        ("data/image_classification::augmentation__is_the_same_with_any_workers_and_batches",),
    ),
    17: Group(
        "going on with other rows, batch size, seed",
        ("callbacks/fingerprint::facts__change_with_what_decides_the_rows",),
    ),
    18: Group("going on with another number of workers"),
    19: Group("the same command after the end"),
    20: Group("nothing to go on from"),
    21: Group("more epochs"),
    22: Group("finders of learning rate and batch size", (), "lit_hf has none"),
    23: Group(
        "kill -9 during saving, TMPDIR on another file system",
        ("saving::save__that_is_killed_leaves_a_whole_file",),
    ),
    24: Group("a full disk", ("saving::command__on_a_full_disk_ends_with_one_line",)),
    25: Group("a read-only folder"),
    26: Group("the run folder is removed in mid-run"),
    27: Group("last.ckpt is a folder, a link, a pipe"),
    28: Group(
        "orphans of killed writers",
        ("unfinished::sweep__removes_what_a_killed_process_left",),
    ),
    29: Group(
        "checkpoints cut off, empty, LFS pointers, HTML, other zips",
        ("checkpoints::damage__of_a_truncated_file_is_told",),
    ),
    30: Group("a damaged last.ckpt"),
    31: Group(
        "one flipped bit",
        ("checkpoints::damage__of_any_flipped_byte_is_told_or_harmless",),
    ),
    32: Group("checkpoints without optimizer, head, or anything but weights"),
    33: Group("checkpoints of newer versions"),
    34: Group(
        "checkpoints load with weights_only=True",
        ("checkpointed_models::checkpoint__holds_plain_types_only",),
    ),
    35: Group("best_model_path exists"),
    36: Group(
        "two runs in one folder",
        ("callbacks/run_folder::folder__of_another_training_is_refused_until_it_has_ended",),
    ),
    37: Group("odd names of folders"),
    38: Group(
        "a clock that goes backwards",
        ("checkpoints::newest__has_the_most_steps_and_is_whole",),
    ),
    39: Group(
        "a loss that is NaN or infinite",
        ("modules/finite::loss__that_is_no_number_ends_the_training",),
    ),
    40: Group("a NaN on one process"),
    41: Group(
        "a validation score that is NaN",
        ("callbacks/best::best__is_never_one_without_a_number",),
    ),
    42: Group("a loss far above the usual"),
    43: Group("nothing to learn from", ("data/questions::unplaced_answers__are_counted",)),
    44: Group("the same training twice"),
    45: Group(
        "pixels that are no numbers, or bytes",
        (
            "data/images::arrays__that_are_no_image_are_told",
            "functional/pixels::images__that_are_none_are_refused",
        ),
        "in Python alone, files hold none",
    ),
    46: Group(
        "scores of two processes",
        ("exactness::validate__with_two_processes_tells_the_same_as_with_one",),
    ),
    47: Group("fewer rows than processes"),
    48: Group(
        "predict on two processes",
        ("exactness::predict__with_two_processes_gives_each_row_exactly_once",),
    ),
    49: Group(
        "SIGTERM to launcher, process 1, both",
        ("stops::signal_to_one_of_two_processes__ends_both",),
    ),
    50: Group("kill -9 of one process"),
    51: Group("an exception on one process"),
    52: Group(
        "rows that cannot be dealt evenly",
        ("data/samplers::sampler__each_row_once_and_equally_many",),
    ),
    53: Group(
        "who writes and who builds the cache",
        (
            "data/cache::cached__two_processes_build_once",
            "data/cache::cached__orphan_of_a_killed_builder_is_swept",
            "callbacks/results::two_processes__write_each_number_once",
            "callbacks/export::two_processes__export_once",
        ),
        "at moments that only a test can hit",
    ),
    54: Group("going on with one process less"),
    55: Group(
        "missing columns",
        ("data/tables::require__names_table_found_setting_and_nearest",),
    ),
    56: Group("empty files", ("data/examples::nothing_left__is_an_error",)),
    57: Group(
        "encodings, quotes, cells too many",
        ("data/readers::open_file__bad_file_is_one_clear_error",),
    ),
    58: Group(
        "blank texts, words for nothing",
        ("data/readers::csv__words_for_nothing_stay_texts",),
    ),
    59: Group(
        "texts that are numbers",
        ("data/cells::names__of_numbers_are_their_digits",),
        "with group 58",
    ),
    60: Group("labels that are none", ("functional/labels::class_ids__refusals",)),
    61: Group(
        "classes in another order than the model's",
        (
            "modules/classifier_names::ready_head__with_the_classes_in_another_order_is_refused",
            "data/classes::label_names__in_the_order_of_the_trained_model",
        ),
        "wants a trained head",
    ),
    62: Group(
        "repeated ids, shared texts",
        ("data/text_classification::shared_texts__are_told",),
    ),
    63: Group(
        "very long and odd texts",
        ("data/text_classification::cut_texts__are_reported",),
    ),
    64: Group(
        "questions and answers that cannot be",
        ("data/questions::bad_rows__stop_or_are_left_out_with_a_report",),
    ),
    65: Group(
        "answers to write",
        (
            "data/generative_qa::empty_answer__is_no_answer",
            "data/generative_qa::labels__never_teach_padding",
            "data/prompts::long_answer__is_cut_but_still_ends",
            "modules/generation::config__that_lacks_something_is_refused",
        ),
        "batches are looked into",
    ),
    66: Group(
        "scores without answers",
        (
            "metrics/answer_score::nothing__counted_is_no_crash",
            "functional/answers::score__where_there_is_no_answer",
        ),
        "numbers of a class, no run",
    ),
    67: Group(
        "damaged and odd images",
        ("images_run::bad_images__of_every_kind_are_told_in_one_report",),
    ),
    68: Group(
        "archives that lead out or are cut off",
        (
            "images_run::archive__that_could_do_harm_is_refused_and_nothing_written",
            "data/archives::half_a_download__is_told",
        ),
    ),
    69: Group(
        "a Hub out of reach",
        ("data/sources::hub__out_of_reach",),
        "refused and gated answers of a Hub cannot be had here",
    ),
    70: Group(
        "lengths and tokenizers that do not fit",
        (
            "data/text_classification::max_length__has_its_limits",
            "data/text_classification::tokenizer__of_another_model_is_refused",
        ),
        "with group 69",
    ),
    71: Group(
        "a cache of other code",
        ("data/cache::code__that_changes_gives_other_names",),
        "the code would have to change",
    ),
    72: Group("pickles that do harm", ("checkpoints::read__runs_no_code",)),
    73: Group(
        "names of code in a checkpoint", ("modules/head_descriptions::build__imports_nothing",)
    ),
    74: Group("configs that name code"),
    75: Group(
        "models with code of their own",
        ("processors::load__runs_no_code_of_the_model_and_asks_for_none",),
    ),
    76: Group("secrets of the environment", (), "W&B and MLflow cannot be reached here"),
    77: Group(
        "names that lead out of the run folder",
        ("new_folders::checkpoint_name__that_leads_out_or_breaks_late_is_refused",),
    ),
    78: Group(
        "hostile texts and labels in files",
        ("callbacks/model_card::card__hostile_names_stay_text",),
    ),
    79: Group(
        "hostile texts on the terminal",
        (
            "callbacks/panels::render__hostile_text_is_shown_as_text",
            "functional/text::printable__holds_nothing_that_acts",
        ),
        "with group 78",
    ),
    80: Group(
        "what is installed",
        (
            "layout::import__is_light",
            "layout::import__opens_no_connection_and_starts_no_process",
            "layout::constraints__meet_the_bounds",
        ),
        "a matter of the package, no run",
    ),
    81: Group(
        "settings that cannot be",
        ("cli::fit__a_mistake_is_one_message_and_exit_code_2",),
    ),
    82: Group(
        "a notebook that is interrupted and trains again",
        ("notebooks::notebook__runs",),
    ),
    83: Group(
        "closed output, poor terminals",
        ("cli::closed_output__does_not_end_a_training",),
    ),
    84: Group(
        "no home, cache or folder for temporary files",
        ("data/cache::cache_folder__cannot_be_written",),
    ),
    85: Group(
        "Ctrl-C while rows are prepared",
        ("data/cache::cached__failed_build_leaves_nothing",),
    ),
}
