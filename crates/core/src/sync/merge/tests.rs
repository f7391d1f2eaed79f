use super::super::config::Direction;
use super::*;

fn model(policy: Policy) -> ModelRule {
    let mut model = ModelRule::new("Setting", "dev#a#rw", "Setting#", Direction::Both);
    model.policy = policy;
    model.updated = Some("updated".to_owned());
    model
}

fn map<const N: usize>(fields: [(&str, i64); N]) -> Option<Map> {
    Some(Map::from(fields))
}

fn check(
    [base, local, cloud]: [Option<Map>; 3],
    model: &ModelRule,
    wanted: Option<Map>,
    loss: Option<(ConflictKind, Side)>,
) {
    let sides = Sides {
        base: base.as_ref(),
        local: local.as_ref(),
        cloud: cloud.as_ref(),
        local_at: None,
        cloud_seen: None,
    };
    let merged = merge(sides, model);
    assert!(
        same_content(merged.wanted.as_ref(), wanted.as_ref()),
        "{merged:?}"
    );
    assert_eq!(merged.loss.map(|loss| (loss.kind, loss.winner)), loss);
}

#[test]
fn changes_of_different_fields_both_stand() {
    let base = map([("a", 1), ("b", 1), ("c", 1)]);
    let local = map([("a", 2), ("b", 1)]);
    let cloud = map([("a", 1), ("b", 2), ("c", 1), ("d", 4)]);
    let wanted = map([("a", 2), ("b", 2), ("d", 4)]);
    check([base, local, cloud], &model(Policy::Cloud), wanted, None);
}

#[test]
fn the_same_change_on_both_sides_is_one_change() {
    let same = map([("a", 2)]);
    check(
        [map([("a", 1)]), same.clone(), same.clone()],
        &model(Policy::Cloud),
        same,
        None,
    );
}

#[test]
fn a_contested_field_goes_to_the_side_of_the_policy() {
    let items = [map([("a", 1)]), map([("a", 2)]), map([("a", 3)])];
    for (policy, wanted, winner) in [
        (Policy::Cloud, 3, Side::Cloud),
        (Policy::Device, 2, Side::Local),
        (Policy::LastWrite, 3, Side::Cloud),
    ] {
        let loss = Some((ConflictKind::Fields, winner));
        check(items.clone(), &model(policy), map([("a", wanted)]), loss);
    }
}

#[test]
fn the_loss_names_only_the_contested_fields() {
    let [base, local, cloud] = [[1, 1], [2, 2], [3, 1]].map(|[a, b]| map([("a", a), ("b", b)]));
    let sides = Sides {
        base: base.as_ref(),
        local: local.as_ref(),
        cloud: cloud.as_ref(),
        local_at: None,
        cloud_seen: None,
    };
    let merged = merge(sides, &model(Policy::Cloud));
    assert_eq!(merged.wanted, map([("a", 3), ("b", 2)]));
    let loss = merged.loss.unwrap();
    assert_eq!((loss.local, loss.cloud), (map([("a", 2)]), map([("a", 3)])));
}

#[test]
fn the_time_of_the_last_write_is_never_contested() {
    check(
        [
            map([("a", 1), ("b", 1), ("updated", 5)]),
            map([("a", 2), ("b", 1), ("updated", 7)]),
            map([("a", 1), ("b", 2), ("updated", 6)]),
        ],
        &model(Policy::Cloud),
        map([("a", 2), ("b", 2), ("updated", 7)]),
        None,
    );
}

#[test]
fn two_creations_are_decided_for_the_whole_item() {
    let items = [None, map([("a", 1)]), map([("b", 2)])];
    let creates = ConflictKind::Creates;
    let cloud = Some((creates, Side::Cloud));
    check(items.clone(), &model(Policy::Cloud), map([("b", 2)]), cloud);
    let local = Some((creates, Side::Local));
    check(items, &model(Policy::Device), map([("a", 1)]), local);
}

#[test]
fn an_edit_against_a_deletion_is_decided_by_the_delete_policy() {
    let base = map([("a", 1)]);
    let edit = map([("a", 2)]);
    let mut model = model(Policy::Cloud);
    for (policy, local, cloud) in [
        (DeletePolicy::EditWins, Side::Local, Side::Cloud),
        (DeletePolicy::DeleteWins, Side::Cloud, Side::Local),
    ] {
        model.deletes = policy;
        let lives = policy == DeletePolicy::EditWins;
        let wanted = if lives { edit.clone() } else { None };
        let delete = ConflictKind::Delete;
        check(
            [base.clone(), edit.clone(), None],
            &model,
            wanted.clone(),
            Some((delete, local)),
        );
        check(
            [base.clone(), None, edit.clone()],
            &model,
            wanted,
            Some((delete, cloud)),
        );
    }
}

#[test]
fn a_deletion_of_what_nobody_edited_stands() {
    let base = map([("a", 1)]);
    let model = model(Policy::Cloud);
    check([base.clone(), base.clone(), None], &model, None, None);
    check([base.clone(), None, base], &model, None, None);
}

#[test]
fn metadata_alone_is_no_change() {
    let base = map([("a", 1), ("_v", 1)]);
    let cloud = map([("a", 1), ("_v", 2)]);
    check(
        [base, map([("a", 2), ("_v", 1)]), cloud],
        &model(Policy::Cloud),
        map([("a", 2)]),
        None,
    );
}

#[test]
fn the_last_write_is_ranked_by_the_stamp_that_moved() {
    let winner = |base: Option<Map>, cloud: Option<Map>, local_at: Option<i64>| {
        let local = map([("a", 2)]);
        let sides = Sides {
            base: base.as_ref(),
            local: local.as_ref(),
            cloud: cloud.as_ref(),
            local_at: local_at.map(UnixMillis),
            cloud_seen: Some(UnixMillis(1000)),
        };
        merge(sides, &model(Policy::LastWrite))
            .loss
            .map(|loss| loss.winner)
    };
    let base = map([("a", 1), ("_u", 100)]);
    let stamped = map([("a", 3), ("_u", 200)]);
    let plain = map([("a", 3), ("_u", 100)]);
    let dated = map([("a", 3), ("_u", 100), ("updated", 300)]);
    assert_eq!(
        winner(base.clone(), stamped.clone(), Some(201)),
        Some(Side::Local)
    );
    assert_eq!(
        winner(base.clone(), stamped.clone(), Some(200)),
        Some(Side::Cloud)
    );
    assert_eq!(winner(base.clone(), stamped, None), Some(Side::Cloud));
    assert_eq!(
        winner(base.clone(), plain.clone(), Some(999)),
        Some(Side::Cloud)
    );
    assert_eq!(winner(base.clone(), plain, Some(1001)), Some(Side::Local));
    assert_eq!(winner(base, dated, Some(301)), Some(Side::Local));
}
