//! Rows of bytes beside the items.

use periwinkle_db::Shelf;
use periwinkle_db::engine::Durability;

use crate::world::World;

fn put(shelf: &Shelf, rows: &[(&str, &str)]) {
    let mut batch = shelf.batch();
    for (key, value) in rows {
        batch.put(key.as_bytes(), value.as_bytes());
    }
    let committed = shelf.commit(&batch, Durability::Immediate);
    committed.unwrap();
}

fn rows(shelf: &Shelf, start: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    let each = |key: &[u8], value: &[u8]| rows.push((text(key), text(value)));
    shelf.each(start.as_bytes(), each).unwrap();
    rows
}

#[test]
fn a_shelf_has_its_own_rows_in_the_order_of_their_keys() {
    let db = World::new(1).open();
    let (one, two) = (db.shelf("one"), db.shelf("on"));
    put(&one, &[("b2", "x"), ("b1", "y"), ("a", "z")]);
    put(&two, &[("b1", "other")]);
    let expected =
        [("b1", "y"), ("b2", "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(rows(&one, "b"), expected);
    assert_eq!(rows(&one, "").len(), 3);
    assert_eq!(rows(&two, "").len(), 1);
    let mut batch = one.batch();
    batch.delete(b"b1").delete(b"never there");
    one.commit(&batch, Durability::Relaxed).unwrap();
    assert_eq!(one.get(b"b1").unwrap(), None);
    assert_eq!(one.get(b"b2").unwrap().as_deref(), Some(&b"x"[..]));
}

#[test]
fn more_rows_than_one_look_takes_are_all_found_once() {
    let db = World::new(2).open();
    let shelf = db.shelf("many");
    let keys: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
    let all: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "")).collect();
    put(&shelf, &all);
    let found: Vec<String> = rows(&shelf, "").into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys);
}
