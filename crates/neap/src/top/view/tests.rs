//! Keys, one after the other, on made-up pictures.

use neap_proc::model::Footprint;

use super::*;
use crate::top::row::tests::process;

fn row(pid: u32, name: &str, mib: u64) -> Row {
    let mut process = process(pid, name, mib << 20);
    process.footprint = Footprint::missing(Reading::Value(mib << 20));
    Row::new(
        process,
        None,
        Some(if pid < 3 { "ann".into() } else { "bob".into() }),
    )
}

fn picture(rows: &[(u32, &str, u64)]) -> Picture {
    Picture {
        rows: rows
            .iter()
            .map(|(pid, name, mib)| row(*pid, name, *mib))
            .collect(),
        ..Picture::not_yet()
    }
}

fn view() -> View {
    let sort = Sort {
        column: Column::Pss,
        direction: Direction::Usual,
    };
    let mut view = View::new(sort, Filter::default(), 1000);
    view.take(picture(&[
        (1, "init", 10),
        (2, "shell", 20),
        (3, "server", 30),
        (4, "idle", 5),
    ]));
    view.set_lines(3);
    view
}

fn press(view: &mut View, keys: &str) -> Action {
    let codes = keys.chars().map(|letter| match letter {
        '\n' => KeyCode::Enter,
        '\x1b' => KeyCode::Esc,
        '\x08' => KeyCode::Backspace,
        '↓' => KeyCode::Down,
        '↑' => KeyCode::Up,
        '↘' => KeyCode::End,
        letter => KeyCode::Char(letter),
    });
    codes.fold(Action::None, |_, code| view.key(KeyEvent::from(code)))
}

fn shown(view: &View) -> Vec<u32> {
    view.on_screen().map(|(row, _)| row.process.pid).collect()
}

fn selected(view: &View) -> Option<u32> {
    view.selected.map(|identity| identity.pid)
}

#[test]
fn a_key_sorts_and_the_same_key_turns_the_order() {
    let mut view = view();
    assert_eq!(shown(&view), [3, 2, 1]);
    press(&mut view, "p");
    assert_eq!(shown(&view), [4, 1, 2]);
    press(&mut view, "i");
    assert_eq!(shown(&view), [1, 2, 3]);
    press(&mut view, "v");
    assert_eq!(shown(&view), [4, 3, 2]);
    press(&mut view, ">");
    assert_eq!(view.sort.column, Column::User);
    press(&mut view, "<<");
    assert_eq!(
        (view.sort.column, view.sort.direction),
        (Column::Pid, Direction::Reversed)
    );
}

#[test]
fn the_selection_stays_with_its_process() {
    let mut view = view();
    press(&mut view, "↓↓");
    assert_eq!(selected(&view), Some(2));
    view.take(picture(&[
        (1, "init", 10),
        (2, "shell", 99),
        (3, "server", 30),
        (4, "idle", 5),
    ]));
    assert_eq!((shown(&view)[0], selected(&view)), (2, Some(2)));
    view.take(picture(&[(1, "init", 10), (3, "server", 30), (4, "idle", 5)]));
    assert_eq!(selected(&view), Some(3), "2 ended; 3 stands where it stood");
    view.take(picture(&[]));
    assert_eq!(selected(&view), None);
}

#[test]
fn the_list_scrolls_with_the_selection_and_stays_full() {
    let mut view = view();
    press(&mut view, "↘");
    assert_eq!((shown(&view), selected(&view)), (vec![2, 1, 4], Some(4)));
    press(&mut view, "↑↑↑↑");
    assert_eq!((shown(&view), selected(&view)), (vec![3, 2, 1], Some(3)));
    press(&mut view, "↘");
    view.set_lines(10);
    assert_eq!(shown(&view), [3, 2, 1, 4]);
}

#[test]
fn a_filter_is_typed_and_escape_takes_it_back() {
    let mut view = view();
    press(&mut view, "/ser");
    assert_eq!((shown(&view), view.entry.is_some()), (vec![3], true));
    press(&mut view, "\x08\x08\x08q");
    assert!(shown(&view).is_empty(), "q is a letter here");
    press(&mut view, "\x08\n");
    assert_eq!((shown(&view).len(), view.entry.clone()), (3, None));
    press(&mut view, "Uann\n");
    assert_eq!(shown(&view), [2, 1]);
    press(&mut view, "\x1b");
    assert_eq!((shown(&view).len(), &view.filter), (3, &Filter::default()));
}

#[test]
fn frozen_pictures_stay_and_can_be_sorted() {
    let mut view = view();
    assert_eq!(press(&mut view, " "), Action::Freeze);
    view.take(picture(&[(9, "new", 1)]));
    assert_eq!(shown(&view), [3, 2, 1]);
    press(&mut view, "i");
    assert_eq!(shown(&view), [1, 2, 3]);
    assert_eq!(press(&mut view, " "), Action::Freeze);
    view.take(picture(&[(9, "new", 1)]));
    assert_eq!(shown(&view), [9]);
}

#[test]
fn enter_opens_the_selected_process_or_the_first_and_a_refusal_is_said() {
    let mut view = view();
    assert_eq!(press(&mut view, "\n"), Action::Open(3));
    press(&mut view, "\x1b↓↓");
    assert_eq!(press(&mut view, "\n"), Action::Open(2));
    view.refuse(3, "too late".to_owned());
    assert_eq!(view.notice, None, "nobody waits for 3 any more");
    view.refuse(2, "there is no process 2".to_owned());
    let said = Some(Notice::Failed("there is no process 2".to_owned()));
    assert_eq!(view.notice, said);
    press(&mut view, "↓");
    assert_eq!(view.notice, None);
}

#[test]
fn help_takes_one_key_and_control_keys_work_everywhere() {
    let mut view = view();
    press(&mut view, "?");
    assert!(view.help);
    press(&mut view, "p");
    assert!(!view.help && view.sort.direction == Direction::Usual);
    press(&mut view, "/");
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    assert_eq!(view.key(control('z')), Action::Suspend);
    assert_eq!(view.key(control('l')), Action::Refresh);
    assert_eq!(view.key(control('c')), Action::Quit);
    assert_eq!(press(&mut view, "\x1bq"), Action::Quit);
}

#[test]
fn the_tree_puts_children_under_their_parents() {
    let mut view = view();
    view.set_lines(9);
    let mut picture = picture(&[(1, "init", 10), (2, "shell", 20), (3, "server", 30)]);
    picture.rows[2].process.parent = 2;
    view.take(picture);
    press(&mut view, "e");
    let depths: Vec<(u32, usize)> = view
        .on_screen()
        .map(|(row, depth)| (row.process.pid, depth))
        .collect();
    assert_eq!(depths, [(1, 0), (2, 1), (3, 2)]);
}

#[test]
fn sums_are_of_what_is_listed() {
    let mut view = view();
    assert_eq!(view.sums(), [65 << 20; 3]);
    press(&mut view, "/s");
    assert_eq!(view.sums(), [50 << 20; 3]);
}

#[test]
fn giving_back_asks_for_processes_of_others_and_is_one_at_a_time() {
    let mut view = view();
    assert_eq!(press(&mut view, "t"), Action::None);
    assert!(matches!(&view.notice, Some(Notice::Failed(why)) if why.contains("select")));
    press(&mut view, "↓");
    assert_eq!(press(&mut view, "t"), Action::GiveBack(3));
    press(&mut view, "↓");
    assert_eq!(press(&mut view, "t"), Action::None);
    let busy = Some(Notice::Failed("process 3 is giving back still".to_owned()));
    assert_eq!(view.notice, busy);
    view.gave_back(3, Ok("RSS 2 -> 1".to_owned()));
    assert_eq!(view.notice, Some(Notice::Done("RSS 2 -> 1".to_owned())));
    let mut others = picture(&[(2, "shell", 20), (3, "server", 30)]);
    others.rows[1].process.user = Reading::Value(0);
    view.take(others);
    press(&mut view, "↑");
    assert_eq!((press(&mut view, "t"), view.asking), (Action::None, Some(3)));
    assert_eq!(
        (press(&mut view, "q"), view.asking),
        (Action::None, None),
        "any key but y is no"
    );
    assert_eq!(press(&mut view, "ty"), Action::GiveBack(3));
}
