use crate::verbs::top::samples::snapshot;

use super::*;

fn firsts(view: View, filter: &str, sort: Sort) -> Vec<String> {
    let rows = view.rows(&snapshot(), filter, sort);
    rows.into_iter().map(|row| row.cells[0].text.clone()).collect()
}

fn by_column(view: View, heading: &str) -> Sort {
    let column = view.columns().iter().position(|column| column.heading == heading);
    Sort { column: column.expect("a column"), reversed: false }
}

#[test]
fn every_row_has_a_cell_for_each_column_and_numbers_sort_as_numbers() {
    for view in View::ALL {
        for (at, column) in view.columns().iter().enumerate() {
            for row in view.rows(&snapshot(), "", Sort { column: at, reversed: false }) {
                assert_eq!(row.cells.len(), view.columns().len());
                assert!(row.cells[at].number.is_some() || !column.is_number, "{}", column.heading);
            }
        }
    }
}

#[test]
fn words_rise_and_numbers_fall_and_both_turn_round() {
    let regions = |sort| firsts(View::Regions, "", sort);
    let by_name = by_column(View::Regions, "REGION");
    assert_eq!(regions(by_name), ["ap-south", "eu-west", "us-east"]);
    let by_rate = by_column(View::Regions, "RATE/s");
    assert_eq!(regions(by_rate), ["us-east", "eu-west", "ap-south"], "100 > 9, unknown last");
    let turned = Sort { reversed: true, ..by_rate };
    assert_eq!(regions(turned), ["ap-south", "eu-west", "us-east"]);
    assert_eq!(regions(by_column(View::Regions, "OPEN"))[0], "eu-west");
}

#[test]
fn a_filter_finds_what_a_cell_has_no_room_for_whatever_the_case() {
    let any = Sort::default();
    assert_eq!(firsts(View::Caches, "REFUSED", any), ["eu-west"]);
    assert_eq!(firsts(View::Caches, "us-EAST", any).len(), 2);
    assert_eq!(firsts(View::DeadLetters, "/stubborn", any).len(), 1);
    assert_eq!(firsts(View::DeadLetters, "no such", any), Vec::<String>::new());
}

#[test]
fn bars_are_as_high_as_their_values_and_the_oldest_fall_off() {
    assert_eq!(bars(&[]), "");
    assert_eq!(bars(&[0.0, 1.0, 4.0, 8.0]), " ▁▄█");
    assert_eq!(bars(&[7.0]), "█");
    let many: Vec<f64> = (0..100).map(f64::from).collect();
    assert_eq!(bars(&many).chars().count(), BARS);
    assert!(bars(&many).ends_with('█'));
}
