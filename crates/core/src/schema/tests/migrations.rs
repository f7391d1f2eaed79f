//! The list of migrations: what is refused, and what becomes of items.

use super::*;

const FIELDS: &str = "size: { type: 'number' }, label: { type: 'string', value: 'L${size}' }, note: { type: 'string' },";

fn with(version: &str, fields: &str, migrations: &str) -> Result<Schema, SchemaError> {
    let process = format!("version: '{version}', process: {{ migrations: [{migrations}] }},");
    Schema::parse(&one_model(fields).replacen("version: '1.0.0',", &process, 1))
}

fn written(models: &[(&str, &str)]) -> Written {
    models
        .iter()
        .map(|(model, version)| ((*model).to_owned(), version.parse().unwrap()))
        .collect()
}

fn item(fields: &str) -> Map {
    let mut item = properties(fields);
    item.extend(properties(
        r#"{"pk":"local#","sk":"M#a","id":"a","_type":"M"}"#,
    ));
    item
}

#[test]
fn a_list_that_cannot_be_followed_is_refused_with_its_place() {
    let table = [
        (
            "{ version: '2.0.0', drop: ['X'] }",
            "process.migrations.0.version: 2.0.0 is above the schema's own version 1.5.0: raise that too",
        ),
        (
            "{ version: '1.2.0', drop: ['X'] }, { version: '1.2.0', drop: ['Y'] }",
            "process.migrations.1.version: migrations stand in the order of their versions, each version once",
        ),
        (
            "{ version: '1.2.0' }",
            "process.migrations.0: a migration says what to do: rename, remove, drop or compute",
        ),
        (
            "{ drop: ['X'] }",
            "process.migrations.0.version: a migration needs the version it came with",
        ),
        (
            "{ version: '1.2.0', rename: { N: { area: 'size' } } }",
            "process.migrations.0.rename: there is no model \"N\": did you mean \"M\"?",
        ),
        (
            "{ version: '1.2.0', rename: { M: { area: 'sise' } } }",
            "process.migrations.0.rename: M has no attribute \"sise\": did you mean \"size\"?",
        ),
        (
            "{ version: '1.2.0', remove: { M: ['size'] } }",
            "process.migrations.0.remove: M.size is still a field: take it out there too",
        ),
        (
            "{ version: '1.2.0', rename: { M: { area: 'width' } } }, { version: '1.3.0', rename: { M: { width: 'area' } } }",
            "process.migrations.1.rename: M.area went with 1.2.0 and cannot come back: use a new name",
        ),
        (
            "{ version: '1.2.0', rename: { M: { sk: 'size' } } }",
            "process.migrations.0.rename: M.sk names the item: it stays",
        ),
        (
            "{ version: '1.2.0', remove: { M: ['place.zip'] } }",
            "process.migrations.0.remove: \"place.zip\" is no attribute: only those of the item itself can be changed, not those of nested objects",
        ),
        (
            "{ version: '1.2.0', drop: ['M'] }",
            "process.migrations.0.drop: M is a model of this schema: take it out there too",
        ),
        (
            "{ version: '1.2.0', drop: 'X' }",
            "process.migrations.0.drop: a text stands here; expected a list of texts",
        ),
    ];
    for (migrations, expected) in table {
        let error = with("1.5.0", FIELDS, migrations).unwrap_err();
        let shown = format!("{}: {}", error.path().join("."), error.message());
        assert_eq!(shown, expected, "{migrations}");
        assert!(error.position().is_some());
    }
    let down = "{
        version: '1.1.0', indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: { D: {
            pk: { type: 'string', value: 'dev#${deviceId}#dn' }, sk: { type: 'string', value: 'D#${id}' },
            deviceId: { type: 'string' }, id: { type: 'string' },
        } },
        process: { D: { sync: 'down' }, migrations: [{ version: '1.1.0', remove: { D: ['x'] } }] },
    }";
    assert_eq!(
        Schema::parse(down).unwrap_err().message(),
        "D is synced down: the cloud application changes its items"
    );
}

#[test]
fn the_number_of_migrations_is_bounded() {
    let many = |count: usize| {
        let list: String = (0..count)
            .map(|at| format!("{{ version: '1.0.{at}', drop: ['X'] }},"))
            .collect();
        with("1.1.0", "", &list).map(|schema| schema.migrations().len())
    };
    let bound = crate::limits::SCHEMA_MIGRATIONS_MAX;
    assert_eq!(many(bound), Ok(bound));
    assert!(many(bound + 1).is_err());
}

#[test]
fn items_take_the_steps_they_have_not_taken_yet() {
    let list = "{ version: '1.2.0', rename: { M: { area: 'width' } } },
        { version: '1.3.0', rename: { M: { width: 'size' } }, remove: { M: ['kind'] } },
        { version: '1.4.0', drop: ['Old'] }";
    let schema = with("1.5.0", FIELDS, list).unwrap();
    let old = item(r#"{"area":4,"kind":"x","foreign":1}"#);
    let half = item(r#"{"width":4,"kind":"x","foreign":1}"#);
    let new = item(r#"{"size":4,"label":"L4","foreign":1}"#);
    let outcome = |versions: Option<&Written>, item: &Map| {
        schema.plan(versions).map(|plan| plan.outcome(item))
    };
    assert_eq!(outcome(None, &old), Some(Outcome::Change(new.clone())));
    let at = |version: &str| written(&[("M", version)]);
    assert_eq!(
        outcome(Some(&at("1.0.0")), &old),
        Some(Outcome::Change(new.clone()))
    );
    assert_eq!(
        outcome(Some(&at("1.2.0")), &half),
        Some(Outcome::Change(new.clone()))
    );
    assert_eq!(outcome(Some(&at("1.3.0")), &new), None);
    assert_eq!(outcome(Some(&Written::new()), &old), None);
    // Doing it again changes nothing, so that it can always begin anew.
    assert_eq!(outcome(None, &new), Some(Outcome::Keep));
    // A program of version 1.1 was run once more: what it wrote is newer.
    let both = item(r#"{"area":9,"size":4,"label":"L4","foreign":1}"#);
    let newest = item(r#"{"size":9,"label":"L9","foreign":1}"#);
    assert_eq!(
        outcome(Some(&at("1.1.0")), &both),
        Some(Outcome::Change(newest))
    );
    let dropped = Map::from([("pk", "x"), ("sk", "y"), ("_type", "Old")]);
    assert_eq!(outcome(None, &dropped), Some(Outcome::Drop));
    let since = written(&[("Old", "1.4.0")]);
    assert_eq!(outcome(Some(&since), &dropped), None);
}

#[test]
fn computed_attributes_are_made_anew_on_request() {
    let list = "{ version: '1.1.0', compute: ['M'] }";
    let schema = with("1.1.0", FIELDS, list).unwrap();
    let plan = schema.plan(None).unwrap();
    let table = [
        (r#"{"size":4}"#, Some(r#"{"size":4,"label":"L4"}"#)),
        (r#"{"label":"L4"}"#, Some("{}")),
        (r#"{"size":4,"label":"L4"}"#, None),
    ];
    for (before, after) in table {
        let expected = after.map_or(Outcome::Keep, |after| Outcome::Change(item(after)));
        assert_eq!(plan.outcome(&item(before)), expected, "{before}");
    }
    let models: Vec<_> = plan.models().map(Model::name).collect();
    assert_eq!(models, ["M"]);
}

#[test]
fn a_model_of_a_newer_major_version_is_parked() {
    let schema = with("1.5.0", "", "").unwrap();
    let parked = |version: &str| {
        let written = written(&[("M", version), ("Gone", "9.0.0")]);
        let parked = schema.parked(&written);
        parked
            .iter()
            .map(|(model, version)| format!("{} {version}", model.name()))
            .collect::<Vec<_>>()
    };
    assert_eq!(parked("1.9.0"), [""; 0]);
    assert_eq!(parked("2.0.0"), ["M 2.0.0"]);
}
