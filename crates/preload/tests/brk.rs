//! The two backends: the program break on request, and untouched otherwise.

mod harness;

use harness::{BRK, BRK_CHECK, MMAP, MMAP_CHECK, contract, contract_with};

#[test]
fn the_break_grows_and_shrinks() {
    contract_with("brk_backend.c", &[BRK], &["grows_and_shrinks"]);
}

#[test]
fn the_break_survives_a_foreign_sbrk() {
    contract_with("brk_backend.c", &[BRK, BRK_CHECK], &["foreign_sbrk"]);
}

#[test]
fn free_pages_below_the_top_go_back() {
    contract_with("brk_backend.c", &[BRK], &["middle_goes_back"]);
}

#[test]
fn trim_threshold_keeps_the_top() {
    contract_with("brk_backend.c", &[BRK], &["trim_threshold"]);
}

#[test]
fn top_pad_makes_the_break_move_rarely() {
    contract_with("brk_backend.c", &[BRK], &["top_pad"]);
}

#[test]
fn the_break_is_the_programs_own_by_default() {
    contract("mmap_backend.c", &[MMAP, MMAP_CHECK]);
}
