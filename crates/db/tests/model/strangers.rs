//! Rows of another device.

use crate::world::{World, props};

#[test]
fn rows_of_another_device_are_noticed_on_either_side_of_the_own_ones() {
    for other in ["d0", "d2", "d", "d1-x", "d10", "d1"] {
        let mut world = World::new(1);
        for device in [other, "d1"] {
            world.device = device;
            let db = world.open();
            db.upsert("Setting", &props(r#"{"id":"a"}"#)).unwrap();
            db.upsert("User", &props(r#"{"name":"dev#x"}"#)).unwrap();
            db.close().unwrap();
        }
        let found = world.open().other_device().unwrap();
        assert_eq!(found.as_deref(), Some(other).filter(|other| *other != "d1"));
    }
}
