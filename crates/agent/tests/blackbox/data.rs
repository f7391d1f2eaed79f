//! Items over REST: lists with filters and ranges, writes on conditions, transactions.

use serde_json::{Value, json};

use crate::agent::{Agent, Home};
use crate::client::{Answer, Client};

const SCHEMA: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    params: { isoDates: true },
    models: {
        Room: {
            pk: { type: 'string', value: 'home#${house}' },
            sk: { type: 'string', value: 'Room#${name}' },
            house: { type: 'string', required: true },
            name: { type: 'string', required: true },
            area: { type: 'number' },
            log: { type: 'array' },
            tags: { type: 'set' },
            code: { type: 'string', hidden: true },
        },
        Place: {
            pk: { type: 'string', value: 'place#${deviceId}' },
            sk: { type: 'string', value: 'Place' },
            deviceId: { type: 'string', required: true },
            street: { type: 'string' },
        },
        Day: {
            pk: { type: 'string', value: 'days' },
            sk: { type: 'string', value: 'Day#${at}' },
            at: { type: 'date', required: true },
            text: { type: 'string' },
        },
        Lamp: {
            pk: { type: 'string', value: 'lamps' },
            sk: { type: 'string', value: 'Lamp#${serial}' },
            serial: { type: 'string', required: true, generate: 'ulid', validate: '/^[0-9A-Z]+$/' },
            colour: { type: 'string', enum: ['red', 'blue'], default: 'red' },
            built: { type: 'date', readonly: true },
            expires: { type: 'date', ttl: true },
            scenes: { type: 'set', items: { type: 'number' } },
            bulb: { type: 'object', schema: {
                watts: { type: 'number', required: true },
                secret: { type: 'string', hidden: true },
            } },
            code: { type: 'string', hidden: true },
        },
    },
}";

struct House {
    _agent: Agent,
    owner: Client,
}

impl House {
    fn new() -> House {
        let home = Home::new();
        let file = home.path().join("schema.json5");
        std::fs::write(&file, SCHEMA).expect("the schema is written");
        let home = home.env("PERIWINKLE_DB__SCHEMA", &file.display().to_string());
        let agent = home.start();
        let owner = agent.owner();
        for (house, name, area) in [("a", "attic", 20), ("a", "hall", 9), ("b", "cellar", 30)] {
            let room = json!({"house": house, "name": name, "area": area, "code": "1234"});
            owner.post("/api/v1/data/Room", &room).expect(201);
        }
        House {
            _agent: agent,
            owner,
        }
    }

    fn send(&self, method: &str, path: &str, parameters: &str, body: &Value) -> Answer {
        let query = encode(parameters);
        let path = format!("/api/v1/data/Room{path}{query}");
        match method {
            "GET" | "DELETE" => self.owner.send(method, &path, &[], b""),
            _ => self.owner.json(method, &path, body),
        }
    }

    fn names(&self, parameters: &str) -> String {
        let page = self
            .send("GET", "", parameters, &Value::Null)
            .expect(200)
            .json();
        let items = page["items"].as_array().expect("a list");
        let names = items
            .iter()
            .map(|item| item["name"].as_str().expect("a name"));
        names.collect::<Vec<_>>().join(" ")
    }
}

/// Parameters by hand, percent-encoded.
fn encode(parameters: &str) -> String {
    let encoded: String = parameters
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'=' | b'&' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    match encoded.is_empty() {
        true => encoded,
        false => format!("?{encoded}"),
    }
}

#[test]
fn a_list_takes_a_filter_a_range_a_projection_and_counts() {
    let house = House::new();
    let table = [
        ("", "attic hall cellar"),
        ("house=a", "attic hall"),
        ("filter=area > 10 and begins_with(name, 'a')", "attic"),
        ("filter=house = 'b' or area = 9", "hall cellar"),
        ("from=b", "cellar"),
        ("to=a", "attic hall"),
        ("house=a&above=attic", "hall"),
        ("house=a&below=hall&reverse=true", "attic"),
        ("house=a&prefix=h", "hall"),
    ];
    for (parameters, expected) in table {
        assert_eq!(house.names(parameters), expected, "{parameters}");
    }
    let get = |parameters| {
        house
            .send("GET", "", parameters, &Value::Null)
            .expect(200)
            .json()
    };
    assert_eq!(
        get("project=area&house=b"),
        json!({"items": [{"area": 30}], "next": null})
    );
    assert_eq!(
        get("count=true&filter=area > 10"),
        json!({"count": 2, "next": null})
    );
    let first = get("limit=1&filter=area > 10");
    let next = first["next"].as_str().expect("there is more");
    assert_eq!(
        house.names(&format!("limit=5&filter=area > 10&next={next}")),
        "cellar"
    );
}

#[test]
fn the_one_item_of_a_model_lies_behind_the_slash() {
    let house = House::new();
    let (owner, path) = (&house.owner, "/api/v1/data/Place/");
    owner.get(path).expect(404);
    let street = |text: &str| json!({ "street": text });
    let made = owner.post("/api/v1/data/Place", &street("a")).expect(201);
    assert_eq!(made.fields["location"], path);
    let again = owner.post("/api/v1/data/Place", &street("b")).expect(409);
    assert_eq!(
        again.json()["detail"],
        "There is a Place with this key already; update it, or use another key."
    );
    owner.json("PUT", path, &street("b")).expect(200);
    owner.json("PATCH", path, &street("c")).expect(200);
    assert_eq!(owner.get(path).expect(200).json()["street"], "c");
    let list = owner.get("/api/v1/data/Place?count=true").expect(200);
    assert_eq!(list.json()["count"], 1);
    owner.send("DELETE", path, &[], b"").expect(204);
    owner.get(path).expect(404);
}

#[test]
fn a_time_in_a_key_is_the_same_in_any_form() {
    let house = House::new();
    let owner = &house.owner;
    let day = "2026-11-22T00:00:00.000Z";
    for (path, at) in [
        ("2026-11-22", json!(day)),
        (day, json!("2026-11-22T01:00:00+01:00")),
        (day, json!(1_795_305_600_000_i64)),
    ] {
        let path = format!("/api/v1/data/Day/{path}");
        let body = json!({"at": at, "text": "x"});
        let made = owner.json("PUT", &path, &body).expect(200).json();
        assert_eq!(made, json!({"at": day, "text": "x"}), "{path} {at}");
    }
    let other = json!({"at": "2026-11-23"});
    let refused = owner.json("PUT", &format!("/api/v1/data/Day/{day}"), &other);
    assert_eq!(refused.expect(400).json()["kind"], "key_differs");
}

#[test]
fn a_parameter_of_an_import_that_makes_no_sense_is_named() {
    let house = House::new();
    for (query, status, field, words) in [
        (
            "modl=Room",
            400,
            json!("modl"),
            "There is no parameter \"modl\" here; there are model, on_conflict, check and traces.",
        ),
        (
            "check=maybe",
            400,
            json!("check"),
            "check is true or false.",
        ),
        (
            "on_conflict=x",
            400,
            json!("on_conflict"),
            "On a conflict fail, skip or replace, not \"x\".",
        ),
        (
            "model=Rom",
            404,
            json!(null),
            "There is no model \"Rom\"; did you mean \"Room\"?",
        ),
    ] {
        let path = format!("/api/v1/database/import?{query}");
        let problem = house.owner.post(&path, &json!([])).expect(status).json();
        assert_eq!(
            (&problem["field"], &problem["detail"]),
            (&field, &json!(words))
        );
    }
}

#[test]
fn a_wrong_expression_is_a_problem_that_names_the_place() {
    let house = House::new();
    let table = [
        (
            "filter=area >",
            "bad_expression",
            "filter",
            "The filter is wrong at column 7: found the end, expected a name, a value or size(...).",
        ),
        (
            "project=area,",
            "bad_expression",
            "projection",
            "The projection is wrong at column 6: found the end, expected a name.",
        ),
        (
            "filter=code = '1234'",
            "unknown_field",
            "code",
            "The filter is wrong at column 1: Room has no field \"code\"; there are house, name, \
             area, log and tags.",
        ),
        (
            "code=1234",
            "unknown_field",
            "code",
            "Room has no field \"code\"; there are house, name, area, log and tags.",
        ),
    ];
    for (parameters, kind, field, detail) in table {
        let problem = house
            .send("GET", "", parameters, &Value::Null)
            .expect(400)
            .json();
        assert_eq!(problem["kind"], kind, "{parameters}");
        assert_eq!(problem["field"], field, "{parameters}");
        assert_eq!(problem["detail"], detail, "{parameters}");
    }
}

#[test]
fn a_write_on_a_condition_is_made_or_shows_what_stood_in_its_way() {
    let house = House::new();
    let attic = "/a/attic";
    let none = json!({});
    let failing = [
        ("PATCH", "if=area > 20", json!({"area": 1})),
        ("PUT", "if=attribute_not_exists(name)", json!({"area": 1})),
        ("DELETE", "if=area = 1", Value::Null),
        ("PATCH", "if=area = 1&apply=SET area = 2", none.clone()),
    ];
    for (method, parameters, body) in failing {
        let problem = house
            .send(method, attic, parameters, &body)
            .expect(412)
            .json();
        assert_eq!(problem["kind"], "condition_failed", "{method} {parameters}");
        let item = json!({"house": "a", "name": "attic", "area": 20});
        assert_eq!(problem["item"], item, "{method} {parameters}");
    }
    let absent = house
        .send("PUT", "/a/loft", "if=attribute_exists(name)", &none)
        .expect(412);
    assert_eq!(absent.json()["item"], Value::Null);
    let parameters = "if=area = 20&apply=SET area = area + 1, log = if_not_exists(log, :none)";
    house.send("PATCH", attic, parameters, &none).expect(400);
    let parameters = "if=area = 20&apply=SET area = area + 1.5";
    let made = house.send("PATCH", attic, parameters, &none).expect(200);
    assert_eq!(made.text(), r#"{"area":21.5,"house":"a","name":"attic"}"#);
    let made = house.send(
        "PUT",
        "/a/loft",
        "apply=SET area = if_not_exists(area, 7)",
        &none,
    );
    assert_eq!(made.expect(200).json()["area"], 7);
    house
        .send("DELETE", "/a/loft", "if=area = 7", &Value::Null)
        .expect(204);
    let unknown = house
        .send("PATCH", attic, "where=area = 7", &none)
        .expect(400)
        .json();
    assert_eq!(
        (&unknown["kind"], &unknown["field"]),
        (&json!("query_invalid"), &json!("where"))
    );
}

#[test]
fn what_has_no_literal_form_is_given_by_placeholders() {
    let house = House::new();
    let none = json!({});
    let attic = "/a/attic";
    let change = |parameters: &str| house.send("PATCH", attic, parameters, &none);
    let made = change(
        "if=area = :old&apply=SET #l = :log, tags = :tags\
         &values={\":old\": 20.0, \":log\": [\"x\", {\"n\": 1}], \":tags\": [\"a\", \"b\"]}\
         &names={\"#l\": \"log\"}",
    );
    let item = json!({
        "house": "a", "name": "attic", "area": 20, "log": ["x", {"n": 1}], "tags": ["a", "b"],
    });
    assert_eq!(made.expect(200).json(), item);
    let made = change("apply=ADD tags :more&values={\":more\": [\"c\"]}");
    assert_eq!(made.expect(200).json()["tags"], json!(["a", "b", "c"]));
    let made = change("apply=DELETE tags :less&values={\":less\": [\"a\", \"c\"]}");
    assert_eq!(made.expect(200).json()["tags"], json!(["b"]));
    let found =
        "values={\":tags\": [\"b\"]}&filter=tags = :tags&project=#n&names={\"#n\": \"name\"}";
    assert_eq!(house.names(found), "attic");
    let failing = [
        (
            "filter=area = :a&values={\":a\": 1, \":b\": 2}",
            "query_invalid",
            ":b",
        ),
        ("filter=area = :a&values=[1]", "query_invalid", "values"),
        ("filter=area = :a&values={", "query_invalid", "values"),
        ("filter=#a = 1&names={\"#a\": 1}", "query_invalid", "#a"),
        ("filter=area = :a", "bad_expression", "filter"),
    ];
    for (parameters, kind, field) in failing {
        let refused = house.send("GET", "", parameters, &Value::Null);
        let problem = refused.expect(400).json();
        assert_eq!(problem["kind"], kind, "{parameters}");
        assert_eq!(problem["field"], field, "{parameters}");
    }
    house
        .send(
            "DELETE",
            attic,
            "if=area = :a&values={\":a\": 20}",
            &Value::Null,
        )
        .expect(204);
}

#[test]
fn the_models_show_of_a_field_what_the_schema_says() {
    let house = House::new();
    let models = house.owner.get("/api/v1/models").expect(200).json();
    let models = models["models"].as_array().expect("a list");
    let lamp = models.iter().find(|model| model["name"] == "Lamp");
    let fields = [
        json!({"name": "serial", "type": "string", "required": true, "readonly": false,
               "generate": "ulid", "validate": "/^[0-9A-Z]+$/"}),
        json!({"name": "colour", "type": "string", "required": false, "readonly": false,
               "enum": ["red", "blue"], "default": "red"}),
        json!({"name": "built", "type": "date", "required": false, "readonly": true}),
        json!({"name": "expires", "type": "date", "required": false, "readonly": false, "ttl": true}),
        json!({"name": "scenes", "type": "set", "required": false, "readonly": false,
               "items": "number"}),
        json!({"name": "bulb", "type": "object", "required": false, "readonly": false,
        "fields": [
            {"name": "watts", "type": "number", "required": true, "readonly": false},
        ]}),
    ];
    let expected = json!({"name": "Lamp", "sync": "none", "keys": ["serial"], "fields": fields});
    assert_eq!(lamp, Some(&expected));
}

#[test]
fn a_transaction_is_made_as_a_whole_or_names_the_write_that_fails() {
    let house = House::new();
    let send = |writes: Value| {
        house
            .owner
            .post("/api/v1/transaction", &json!({"writes": writes}))
    };
    let key = |name: &str| json!({"house": "a", "name": name});
    let done = send(json!([
        {"create": "Room", "item": {"house": "c", "name": "new", "area": 1}},
        {"update": "Room", "item": key("attic"), "apply": "SET area = area + :more, #l = :log",
         "if": "area = :old", "names": {"#l": "log"},
         "values": {":more": 2, ":log": ["x"], ":old": 20}},
        {"check": "Room", "item": key("hall"), "if": "area = 9"},
        {"remove": "Room", "item": key("hall")},
        {"upsert": "Room", "item": {"house": "c", "name": "new", "area": 2}},
    ]));
    let hall = json!({"house": "a", "name": "hall", "area": 9});
    assert_eq!(
        done.expect(200).json()["items"],
        json!([
            {"house": "c", "name": "new", "area": 1},
            {"house": "a", "name": "attic", "area": 22, "log": ["x"]},
            hall, hall,
            {"house": "c", "name": "new", "area": 2},
        ])
    );
    assert_eq!(house.names(""), "attic cellar new");
    let problem = send(json!([
        {"remove": "Room", "item": key("attic")},
        {"update": "Room", "item": {"house": "c", "name": "new"}, "if": "area = 1", "apply": "REMOVE area"},
    ]));
    let problem = problem.expect(412).json();
    assert_eq!(
        (&problem["write"], &problem["item"]["area"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        problem["detail"],
        "Write 2 of 2: the condition does not hold of this Room (c/new); nothing was written."
    );
    assert_eq!(house.names(""), "attic cellar new");
}

#[test]
fn a_transaction_that_cannot_be_understood_is_refused() {
    let house = House::new();
    let wrong = [
        (json!({"writes": 1}), "body_invalid", "writes"),
        (json!({"writes": [1]}), "body_invalid", ""),
        (json!({"writes": [{"item": {}}]}), "body_invalid", ""),
        (
            json!({"writes": [{"create": "Room"}]}),
            "body_invalid",
            "item",
        ),
        (
            json!({"writes": [{"create": "Room", "item": {}, "whem": "x"}]}),
            "body_invalid",
            "whem",
        ),
        (
            json!({"writes": [{"create": "Room", "item": {}, "if": 1}]}),
            "body_invalid",
            "if",
        ),
        (
            json!({"writes": [{"create": "Room", "item": {}, "if": "a = :b", "values": {":c": 1}}]}),
            "body_invalid",
            ":c",
        ),
        (
            json!({"writes": [{"create": "Room", "item": {"house": "", "name": "x"}}]}),
            "bad_key",
            "house",
        ),
    ];
    for (body, kind, field) in wrong {
        let problem = house
            .owner
            .post("/api/v1/transaction", &body)
            .expect(400)
            .json();
        assert_eq!(problem["kind"], kind, "{body}");
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{body}"
        );
    }
    let users = json!({"writes": [{"update": "User", "item": {"name": "olga", "role": "owner"}}]});
    let problem = house
        .owner
        .post("/api/v1/transaction", &users)
        .expect(404)
        .json();
    assert_eq!(problem["kind"], "unknown_model");
    let empty = json!({"writes": []});
    let done = house.owner.post("/api/v1/transaction", &empty).expect(200);
    assert_eq!(done.json(), json!({"items": []}));
}
