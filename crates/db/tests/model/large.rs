//! Large items: every call holds a bounded number of bytes of them, whatever their number.

use std::sync::Arc;

use periwinkle_core::limits::{BATCH_GET_BYTES_MAX, DB_SCAN_BYTES_MAX, FIND_PAGE_BYTES_MAX};
use periwinkle_core::schema::Schema;
use periwinkle_core::time::{Mono, Now, UnixMillis};
use periwinkle_core::value::Map;
use periwinkle_db::engine::FileStorage;
use periwinkle_db::{Database, DbError, Environment, Find, Options, Page, engine};
use periwinkle_testkit::memory::{growth, in_a_child, measure_as_told};

use crate::world::{START, World};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' }, gs1: { hash: 'gs1pk', sort: 'gs1sk' } },
    models: { Photo: {
        pk: { type: 'string', value: 'local#' },
        sk: { type: 'string', value: 'Photo#${id:4}' },
        gs1pk: { type: 'string', value: 'photos' },
        gs1sk: { type: 'string', value: '${id:4}' },
        id: { type: 'number', required: true },
        data: { type: 'string' },
        gone: { type: 'date', ttl: true },
    } },
}";

const PHOTO_BYTES: usize = 300_000;

fn photo(id: i64, bytes: usize) -> Map {
    let data = "x".repeat(bytes);
    let mut photo = Map::from([("data", data)]);
    photo.insert("id", id);
    photo
}

fn filled(photos: i64, bytes: usize) -> Database {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    for id in 0..photos {
        db.create("Photo", &photo(id, bytes)).unwrap();
    }
    db
}

fn ids(page: &Page) -> Vec<i64> {
    let ids = page.items.iter().map(|item| item["id"].as_i64().unwrap());
    ids.collect()
}

/// The numbers of all items, page by page.
fn pages(find: &Find, ask: impl Fn(&Find) -> Result<Page, DbError>) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut find = find.clone();
    loop {
        let page = ask(&find).unwrap();
        pages.push(ids(&page));
        match page.next {
            Some(next) => find = find.next(next),
            None => return pages,
        }
    }
}

#[test]
fn a_page_ends_with_the_item_with_which_it_reaches_its_bytes() {
    let db = filled(10, PHOTO_BYTES);
    let of_page = FIND_PAGE_BYTES_MAX.div_ceil(PHOTO_BYTES);
    let rising: Vec<i64> = (0..10).collect();
    let falling: Vec<i64> = (0..10).rev().collect();
    for (find, all) in [
        (Find::new(), &rising),
        (Find::new().reverse(), &falling),
        (Find::new().index("gs1"), &rising),
        (Find::new().index("gs1").reverse(), &falling),
        (Find::new().filter("id >= 0"), &rising),
    ] {
        let expected: Vec<_> = all.chunks(of_page).map(<[i64]>::to_vec).collect();
        let found = pages(&find, |find| db.find("Photo", &Map::new(), find));
        assert_eq!(found, expected);
        let within = db.transaction(|tx| -> Result<_, DbError> {
            Ok(pages(&find, |find| tx.find("Photo", &Map::new(), find)))
        });
        assert_eq!(within.unwrap().value, expected);
    }
}

#[test]
fn one_page_has_all_items_that_do_not_reach_its_bytes() {
    // Beside the data, a row has less than 200 bytes.
    let below = FIND_PAGE_BYTES_MAX / 4 - 200;
    for (photos, of_pages) in [(4, vec![4]), (5, vec![5]), (6, vec![5, 1])] {
        let db = filled(photos, below);
        let found = pages(&Find::new(), |find| db.find("Photo", &Map::new(), find));
        let lengths: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(lengths, of_pages);
    }
}

#[test]
fn a_page_of_small_parts_of_large_items_is_not_cut() {
    let db = filled(10, PHOTO_BYTES);
    let parts = Find::new().project("id");
    let found = pages(&parts, |find| db.find("Photo", &Map::new(), find));
    assert_eq!(found, [(0..10).collect::<Vec<i64>>()]);
}

#[test]
fn a_count_goes_over_large_items_in_one_call() {
    let db = filled(10, PHOTO_BYTES);
    for find in [Find::new(), Find::new().index("gs1").limit(1)] {
        let count = db.count("Photo", &Map::new(), &find).unwrap();
        assert_eq!((count.items, count.next), (10, None));
    }
}

#[test]
fn a_list_goes_on_behind_large_items_that_its_transaction_removed() {
    let db = filled(12, PHOTO_BYTES);
    let left = db.transaction(|tx| {
        for id in 1..11 {
            tx.remove("Photo", &Map::from([("id", id)]))?;
        }
        tx.create("Photo", &photo(5, 1))?;
        let by_key = tx.find("Photo", &Map::new(), &Find::new())?;
        let by_index = tx.find("Photo", &Map::new(), &Find::new().index("gs1").reverse())?;
        Ok::<_, DbError>((by_key, by_index))
    });
    let (by_key, by_index) = left.unwrap().value;
    assert_eq!((ids(&by_key), by_key.next), (vec![0, 5, 11], None));
    assert_eq!((ids(&by_index), by_index.next), (vec![11, 5, 0], None));
}

#[test]
fn a_get_of_many_has_a_bound_in_bytes() {
    // An item is a little more than its data.
    let photos = BATCH_GET_BYTES_MAX / (390_000 + 100);
    let db = filled(photos as i64 + 1, 390_000);
    let keys: Vec<Map> = (0..=photos)
        .map(|id| Map::from([("id", id as i64)]))
        .collect();
    let keys: Vec<_> = keys.iter().map(|key| ("Photo", key)).collect();
    assert_eq!(db.get_all(&keys[..photos]).unwrap().len(), photos);
    let refused = db.get_all(&keys).unwrap_err();
    assert_eq!(refused.kind(), "bad_query");
    assert!(
        refused.to_string().starts_with("bytes of one get: "),
        "{refused}"
    );
}

#[test]
fn rows_past_their_time_go_step_by_step() {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    for id in 0..10 {
        let mut photo = photo(id, PHOTO_BYTES);
        photo.insert("gone", "2026-11-22T10:30:00Z");
        db.create("Photo", &photo).unwrap();
    }
    world.clock.pass(3_600_000);
    let now = world.clock.now();
    assert_eq!(db.purge_expired(now).unwrap(), 10);
    assert_eq!(db.stats().rows.get("Photo"), Some(&0));
}

/// What a call holds at once: the rows of a step, what is read of the disk for it, a page of items,
/// and what the allocator keeps of all that.
const HELD_BYTES_MAX: u64 = 2 * (DB_SCAN_BYTES_MAX + FIND_PAGE_BYTES_MAX) as u64;

struct Still;

impl Environment for Still {
    fn now(&self) -> Now {
        Now {
            mono: Mono::ZERO,
            wall: Some(UnixMillis(START)),
            trusted: true,
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn measure(what: &str) -> u64 {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        engine: engine::Options {
            cache_bytes: 0,
            ..engine::Options::default()
        },
        ..Options::default()
    };
    let storage = Arc::new(FileStorage::open(scratch.path().join("db")).unwrap());
    let schema = Schema::parse(SCHEMA).unwrap();
    let (db, _) = Database::open(storage, schema, options, Arc::new(Still)).unwrap();
    for id in 0..100 {
        let made = db.create("Photo", &photo(id, 390_000)).unwrap();
        made.ticket.wait().unwrap();
    }
    let all = Find::new().limit(1000);
    growth(|| match what {
        "count" => {
            let count = db.count("Photo", &Map::new(), &all).unwrap();
            assert_eq!(count.items, 100);
        }
        "list" => {
            let page = db.find("Photo", &Map::new(), &all).unwrap();
            assert_eq!(ids(&page), [0, 1, 2]);
        }
        "list by index" => {
            let page = db.find("Photo", &Map::new(), &all.clone().index("gs1"));
            assert_eq!(ids(&page.unwrap()), [0, 1, 2]);
        }
        _ => {
            assert_eq!(db.purge_expired(Still.now()).unwrap(), 0);
        }
    })
}

#[test]
fn the_child_measures_what_it_is_told() {
    measure_as_told(measure);
}

#[test]
fn lists_and_counts_of_large_items_hold_a_few_of_them_at_a_time() {
    for what in ["count", "list", "list by index", "purge"] {
        let bytes = in_a_child("large::the_child_measures_what_it_is_told", what);
        println!("{what}: {bytes} bytes");
        assert!(bytes <= HELD_BYTES_MAX, "{what}: {bytes} bytes");
    }
}
