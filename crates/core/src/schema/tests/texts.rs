//! Schema texts that are read or refused.

use super::*;

#[test]
fn a_broken_field_is_refused_with_its_place() {
    let table = [
        (
            "a: { typ: 'string' },",
            "models.M.a.typ (line 8, column 10): unknown key \"typ\": did you mean \"type\"?",
        ),
        (
            "a: {},",
            "models.M.a.type (line 8, column 5): a field needs a type",
        ),
        (
            "a: { type: 'text' },",
            "models.M.a.type (line 8, column 10): unknown type \"text\"; known are string, number, \
             boolean, date, array, object, binary, buffer, arraybuffer, set",
        ),
        (
            "a: 'string',",
            "models.M.a (line 8, column 5): a text stands here; expected an object",
        ),
        (
            "a: { type: 'boolean', unique: true },",
            "models.M.a (line 8, column 5): only a string or a number can be unique; this is \"boolean\"",
        ),
        (
            "a: { type: 'string', ttl: true },",
            "models.M.a.ttl (line 8, column 26): ttl needs type \"date\"; this is \"string\"",
        ),
        (
            "a: { type: 'number', default: 'x' },",
            "models.M.a.default (line 8, column 26): the text \"x\" stands here; expected a number",
        ),
        (
            "a: { type: 'string', value: '${b}' },",
            "models.M.a (line 8, column 5): the template uses \"b\", which is no field: did you mean \"a\"?",
        ),
        (
            "a: { type: 'string', value: '${b}' }, b: { type: 'string', value: '${a}' },",
            "models.M.a (line 8, column 5): the value template is made from itself",
        ),
        (
            "a: { type: 'string', value: '${b}' }, b: { type: 'object' },",
            "models.M.a (line 8, column 5): the template uses \"b\" of type \"object\", which has no text form",
        ),
        (
            "a: { type: 'string', generate: 'ulidd' },",
            "models.M.a.generate (line 8, column 26): \"ulidd\" is not one of \"ulid\", \"uid\", \"uid(n)\" or \"uuid\" with n up to 64",
        ),
        (
            "a: { type: 'string', map: 'x.y.z' },",
            "models.M.a.map (line 8, column 26): \"x.y.z\" stands here; expected an attribute, or an attribute and an entry of it: 'place.city'",
        ),
        (
            "a: { type: 'string', map: 'x.y' }, b: { type: 'string', map: 'x' },",
            "models.M.b (line 8, column 40): it is stored in \"x\", as is \"a\"",
        ),
        (
            "a: { type: 'date', ttl: true, map: 'x.y' },",
            "models.M.a (line 8, column 5): the ttl field needs an attribute of its own, not an entry of one",
        ),
        (
            "a: { type: 'string', crypt: true },",
            "models.M.a.crypt (line 8, column 26): encrypted fields are not supported: the device has no safe place for a password that the cloud knows too",
        ),
        (
            "a: { type: 'string', encode: 'sk' },",
            "models.M.a.encode (line 8, column 26): \"a\" does not stand alone between \"#\" in \"M#${id}\"",
        ),
        (
            "a: { type: 'string', encode: ['x', '#', 0] },",
            "models.M.a.encode (line 8, column 26): \"x\" is no attribute with a value template",
        ),
        (
            "a: { type: 'string', encode: ['k', '#'] }, k: { type: 'string', value: 'K#${a}' },",
            "models.M.a.encode (line 8, column 26): expected [attribute, separator, part], such as encode: ['sk', '#', 1]",
        ),
        // OneTable would read "K" here.
        (
            "a: { type: 'string', encode: 'k' }, k: { type: 'string', value: 'K#${a}' },",
            "models.M.a.encode (line 8, column 26): \"a\" is part 1 of \"K#${a}\": write encode: ['k', '#', 1]",
        ),
        (
            "a: { type: 'array', schema: { x: { type: 'string' } } },",
            "models.M.a.schema (line 8, column 25): the schema of an array's entries stands in its items: items: { type: 'object', schema: { ... } }",
        ),
        (
            "a: { type: 'set', items: { type: 'date' } },",
            "models.M.a.items.type (line 8, column 32): a set has members of type \"string\", \"number\" or \"binary\"",
        ),
        (
            "a: { type: 'object', schema: { x: { type: 'string', map: 'p.q' } } },",
            "models.M.a.schema.x.map (line 8, column 57): only fields of the model itself can be packed into one attribute",
        ),
        (
            "a: { type: 'string', value: '${o.y}' }, o: { type: 'object', schema: { x: { type: 'string' } } },",
            "models.M.a (line 8, column 5): the template uses \"o.y\", which is no field",
        ),
        (
            "a: { type: 'string', map: 'id' },",
            "models.M.a (line 8, column 5): it is stored in \"id\", as is \"id\"",
        ),
        (
            "a: { type: 'string', required: 'yes' },",
            "models.M.a.required (line 8, column 26): a text stands here; expected true or false",
        ),
        (
            "a: { type: 'date', ttl: true }, b: { type: 'date', ttl: true },",
            "models.M.b.ttl (line 8, column 56): a model has one ttl field, and this one has \"a\"",
        ),
    ];
    for (fields, expected) in table {
        let error = Schema::parse(&one_model(fields)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{fields}");
    }
    let look_around = ["(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(a)\\1"];
    for pattern in look_around.into_iter().chain(["("]) {
        let quoted = pattern.replace('\\', "\\\\");
        let field = format!("a: {{ type: 'string', validate: '{quoted}' }},");
        let error = Schema::parse(&one_model(&field)).unwrap_err();
        let expected = format!("the pattern {pattern} cannot be used: ");
        assert!(error.message().starts_with(&expected), "{error}");
    }
}

#[test]
fn a_broken_schema_is_refused_with_its_place() {
    let good = one_model("");
    let table = [
        (
            "version: '1.0.0',",
            "",
            "version (line 1, column 1): the schema needs a version, such as version: '1.0.0'",
        ),
        (
            "version: '1.0.0',",
            "version: 'one',",
            "version (line 2, column 3): \"one\": expected up to three numbers with points between them, such as 1.2.0",
        ),
        (
            "sort: 'sk' }",
            "sort: 'sk' }, l: { type: 'local', hash: 'other', sort: 'x' }",
            "indexes.l.hash (line 3, column 71): a local index has the partition key \"pk\"",
        ),
        (
            "sort: 'sk' }",
            "sort: 'sk' }, l: { type: 'local' }",
            "indexes.l.sort (line 3, column 51): a local index needs a sort key",
        ),
        (
            "sort: 'sk' }",
            "sort: 'sk' }, g: { type: 'global', sort: 'x' }",
            "indexes.g.hash (line 3, column 51): a global index needs a partition key",
        ),
        (
            "sort: 'sk' }",
            "sort: 'sk' }, g: { hash: 'x', project: 'some' }",
            "indexes.g.project (line 3, column 67): a text stands here; expected \"all\", \"keys\" or a list of attributes",
        ),
        (
            "models: {",
            "model: {",
            "model (line 4, column 3): unknown key \"model\": did you mean \"models\"?",
        ),
        (
            "hash: 'pk', sort: 'sk'",
            "hash: 'pk'",
            "indexes.primary (line 3, column 14): the schema needs indexes: { primary: { hash: 'pk', sort: 'sk' } }",
        ),
        (
            "pk: { type: 'string', value: 'local#' },",
            "",
            "models.M (line 4, column 13): M needs the field \"pk\" of the primary index, such as pk: { type: 'string', value: 'M#${id}' }",
        ),
        (
            "M: {",
            "'M x': {",
            "models.M x (line 4, column 13): \"M x\" cannot name a model: use a letter, then letters, digits, \"_\" or \"-\", 64 at most",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { N: { sync: 'up' } },",
            "process.N (line 2, column 32): there is no model \"N\": did you mean \"M\"?",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { sync: 'sideways' } },",
            "process.M.sync (line 2, column 37): \"sideways\" is not one of none, up, down, both",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { rows_max: 0 } },",
            "process.M.rows_max (line 2, column 37): 0 is not a whole number from 1",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { bytes_max: -1 } },",
            "process.M.bytes_max (line 2, column 37): -1 is not a whole number from 1",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { overflow: 'wrap' } },",
            "process.M.overflow (line 2, column 37): \"wrap\" is not one of refuse, drop_oldest",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { sync: 'both', overflow: 'drop_oldest' } },",
            "process.M.overflow (line 2, column 51): a row that is dropped here would come back from the cloud: use \"refuse\"",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', process: { M: { sync: 'down', bytes_max: 5 } },",
            "process.M.bytes_max (line 2, column 51): the cloud decides how many rows a model has that is synced down",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', params: { timestamps: 'always' },",
            "params.timestamps (line 2, column 31): a text stands here; expected true, false, \"create\" or \"update\"",
        ),
        (
            "version: '1.0.0',",
            "version: '1.0.0', format: 'onetable:9',",
            "format (line 2, column 21): \"onetable:9\" is not a format that is known; use \"onetable:1.1.0\"",
        ),
    ];
    for (from, to, expected) in table {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        assert_eq!(
            Schema::parse(&text).unwrap_err().to_string(),
            expected,
            "{to}"
        );
    }
}

#[test]
fn a_synced_model_needs_a_partition_that_replication_can_name() {
    let with = |hash: &str, sync: &str| {
        let text =
            one_model("deviceId: { type: 'string', required: true }, group: { type: 'string' },")
                .replacen("local#", hash, 1)
                .replacen(
                    "version: '1.0.0',",
                    &format!("version: '1.0.0', process: {{ M: {{ sync: '{sync}' }} }},"),
                    1,
                );
        Schema::parse(&text).map(|schema| schema.models()[0].class())
    };
    let good = [
        ("dev#${deviceId}#rw", "both", Some(Class::Both)),
        ("dev#${deviceId}#rw#${group}", "both", Some(Class::Both)),
        ("dev#${deviceId}#up#${group}", "up", Some(Class::Up)),
        ("dev#${deviceId}#dn", "down", Some(Class::Down)),
        ("mine#${group}", "none", None),
    ];
    for (hash, sync, class) in good {
        assert_eq!(with(hash, sync).unwrap(), class, "{hash} {sync}");
    }
    let bad = [
        ("dev#${deviceId}#rw", "up"),
        ("dev#${deviceId}#rwx", "both"),
        ("dev#${deviceId}", "both"),
        ("dev#x#rw", "both"),
        ("${deviceId}#rw", "both"),
        ("dev#${deviceId}#rw", "none"),
        ("fleet#${group}", "down"),
    ];
    for (hash, sync) in bad {
        let error = with(hash, sync).unwrap_err();
        assert_eq!(error.path(), ["models", "M", "pk"], "{hash} {sync}");
        assert_eq!(error.position(), Some((5, 5)), "{hash} {sync}");
    }
}

#[test]
fn the_process_block_sets_how_a_model_is_kept() {
    let schema = Schema::parse(FIXTURE).unwrap();
    assert_eq!(
        *schema.model("Reading").unwrap().process(),
        Process {
            sync: Direction::Up,
            durability: Durability::Relaxed,
            rows_max: Some(1000),
            conflict: Policy::Device,
            ..Process::default()
        }
    );
    assert_eq!(schema.major_version(), 2);
    assert!(schema.is_synced());
    assert!(!Schema::parse(&one_model("")).unwrap().is_synced());
}

#[test]
fn the_process_block_says_how_durable_a_model_is() {
    let table = [
        ("immediate", Durability::Immediate),
        ("relaxed", Durability::Relaxed),
        ("lazy", Durability::Lazy),
    ];
    for (word, expected) in table {
        let text = one_model("a: { type: 'string' },");
        let process = format!("process: {{ M: {{ durability: '{word}' }} }}, models:");
        let schema = Schema::parse(&text.replacen("models:", &process, 1)).unwrap();
        assert_eq!(schema.model("M").unwrap().process().durability, expected);
    }
}

#[test]
fn builtin_models_are_added_unless_the_schema_has_them() {
    let builtin = Schema::parse(&one_model("a: { type: 'string' },")).unwrap();
    let own = Schema::parse_over(FIXTURE, &builtin).unwrap();
    let names: Vec<_> = own.models().iter().map(Model::name).collect();
    assert_eq!(names, ["Everything", "Reading", "M"]);
    let same = one_model("a: { type: 'string' }, mine: { type: 'number' },");
    let same = Schema::parse_over(&same, &builtin).unwrap();
    assert!(same.model("M").unwrap().field("mine").is_some());
}

#[test]
fn a_schema_that_breaks_a_builtin_model_is_refused() {
    let fields = "a: { type: 'string' }, b: { type: 'date', ttl: true },";
    let builtin = Schema::parse(&one_model(fields)).unwrap();
    let table = [
        (
            one_model("a: { type: 'number' }, b: { type: 'date' },"),
            "models.M (line 4, column 13): the agent itself uses M.a: keep it, with type \"string\"",
        ),
        (
            one_model("").replace("pk", "PK"),
            "indexes.primary (line 3, column 14): the agent's own models need primary: { hash: 'pk', sort: 'sk' }",
        ),
        (
            one_model("").replace("version:", "params: { typeField: 'kind' }, version:"),
            "params.typeField (line 2, column 13): the agent's own models need \"_type\"",
        ),
        (
            one_model("").replace("M: {", "Mine: {"),
            "models.Mine.sk.value (line 6, column 27): Mine and M have the same key templates: begin the sort key with \"Mine#\"",
        ),
        (
            one_model("gone: { type: 'date', ttl: true },")
                .replace("M: {", "Mine: {")
                .replace("'M#", "'Mine#"),
            "models.Mine.gone.ttl (line 8, column 27): a table has one ttl attribute, and M has \"b\": use that name too, or map: \"b\"",
        ),
    ];
    for (text, expected) in table {
        let error = Schema::parse_over(&text, &builtin).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn indexes_live_in_partitions_of_their_own_or_in_those_of_the_items() {
    let more = "sort: 'sk' }, a: { hash: 'ah', sort: 'as', project: 'keys' }, \
        b: { sort: 'bs', project: ['x', 'y'] }, c: { type: 'local', sort: 'cs', follow: true }";
    let text = one_model("").replacen("sort: 'sk' }", more, 1);
    let schema = Schema::parse(&text).unwrap();
    let shown: Vec<_> = schema
        .indexes()
        .iter()
        .map(|index| (index.name.as_str(), index.hash.as_str(), index.kind))
        .collect();
    assert_eq!(
        shown,
        [
            ("primary", "pk", IndexKind::Primary),
            ("a", "ah", IndexKind::Global),
            ("b", "pk", IndexKind::Local),
            ("c", "pk", IndexKind::Local),
        ]
    );
    let attributes = vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(schema.indexes()[1].project, Projection::Keys);
    assert_eq!(
        schema.indexes()[2].project,
        Projection::Attributes(attributes)
    );
    let with = |count: usize, hash: &str| {
        let more: String = (0..count)
            .map(|at| format!(", l{at}: {{ {hash}sort: 's{at}' }}"))
            .collect();
        let text = one_model("").replacen("sort: 'sk' }", &format!("sort: 'sk' }}{more}"), 1);
        Schema::parse(&text)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let bound = crate::limits::SCHEMA_LOCAL_INDEXES_MAX;
    assert_eq!(with(bound, ""), Ok(()));
    assert_eq!(
        with(bound + 1, "").unwrap_err(),
        "indexes (line 3, column 3): a table has at most 5 local indexes"
    );
    let bound = crate::limits::SCHEMA_INDEXES_MAX;
    assert_eq!(with(bound, "hash: 'h', "), Ok(()));
    assert_eq!(
        with(bound + 1, "hash: 'h', ").unwrap_err(),
        "indexes (line 3, column 3): a table has at most 60 indexes beside primary"
    );
}

#[test]
fn a_number_beyond_what_is_stored_says_what_it_may_be() {
    let schema = Schema::parse(FIXTURE).unwrap();
    let model = schema.model("Everything").unwrap();
    for (text, expected) in [
        ("1".repeat(38), None),
        ("1".repeat(39), Some("a number of at most 38 digits")),
        ("1e126".to_owned(), Some("a number of at most 9.99E+125")),
        (
            "1e-131".to_owned(),
            Some("a number of at least 1E-130, or 0"),
        ),
        ("many".to_owned(), Some("a number")),
    ] {
        let refused = model.value_from_text("count", &text).err();
        let words = expected.map(|expected| {
            format!("Everything.count is the text \"{text}\"; expected {expected}")
        });
        assert_eq!(refused.map(|error| error.to_string()), words);
    }
}
