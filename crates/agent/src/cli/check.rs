//! `periwinkle check`: is the configuration right, and what does it mean?

use std::{fs, io};

use periwinkle_core::config::{Config, ConfigErrors, Loaded, Origin, reference};
use periwinkle_core::schema::Schema;
use serde_json::{Value, json};

use super::args::Check;
use super::failure::Failure;
use super::inputs::Inputs;
use super::output;
use crate::database::{built_in_schema, parse_schema};

pub(super) fn check(inputs: &Inputs, options: &Check) -> Result<(), Failure> {
    if options.reference {
        return output::print(&reference());
    }
    let loaded = match inputs.load() {
        Ok(loaded) => loaded,
        Err(errors) if options.json => {
            output::print(&pretty(&describe_errors(&errors)))?;
            return Err(errors.into());
        }
        Err(errors) => return Err(errors.into()),
    };
    check_files(&loaded.config)?;
    match options.json {
        true => output::print(&pretty(&describe(inputs, &loaded))),
        false => {
            for hint in &loaded.hints {
                output::complain(&format!("hint: {hint}"));
            }
            output::print(&listing(&loaded))
        }
    }
}

/// What the configuration names is there and can be read.
fn check_files(config: &Config) -> Result<(), Failure> {
    let named = [
        ("web.tls_certificate", &config.web.tls_certificate),
        ("web.tls_key", &config.web.tls_key),
        ("mqtt.password_file", &config.mqtt.password_file),
        ("mqtt.ca", &config.mqtt.ca),
        ("mqtt.certificate", &config.mqtt.certificate),
        ("mqtt.key", &config.mqtt.key),
        ("mqtt.proxy_login_file", &config.mqtt.proxy_login_file),
        ("fetch.certificate", &config.fetch.certificate),
        ("fetch.key", &config.fetch.key),
        ("fetch.proxy_login_file", &config.fetch.proxy_login_file),
        ("sync.credentials_file", &config.sync.credentials_file),
    ];
    let authorities = config.fetch.ca.iter().map(|path| ("fetch.ca", path));
    let named = named
        .into_iter()
        .filter_map(|(key, path)| Some((key, path.as_ref()?)));
    for (key, path) in named.chain(authorities) {
        fs::File::open(path).map_err(|error| {
            let path = path.display();
            Failure::input(format!("{path}: named by `{key}`, cannot be read: {error}"))
        })?;
    }
    check_time_mark(config)?;
    check_rules(config, &check_schema(config)?)
}

/// The file need not be there yet, but nothing else may be in its place.
fn check_time_mark(config: &Config) -> Result<(), Failure> {
    let Some(path) = &config.runtime.time_mark else {
        return Ok(());
    };
    let name = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(Failure::input(format!(
            "{name}: named by `runtime.time_mark`, is no file; name the one that is touched when the \
             clock is right"
        ))),
        Err(error) => Err(Failure::input(format!(
            "{name}: named by `runtime.time_mark`, cannot be looked at: {error}"
        ))),
    }
}

#[cfg(not(feature = "mqtt"))]
const fn check_rules(_: &Config, _: &Schema) -> Result<(), Failure> {
    Ok(())
}

#[cfg(feature = "mqtt")]
fn check_rules(config: &Config, schema: &Schema) -> Result<(), Failure> {
    if config.mqtt.enable {
        let device = config.device.id.as_ref().map_or("device", |id| id.as_str());
        crate::mqtt::checked(&config.mqtt, device, schema)
            .and_then(|options| crate::mqtt::check_files(&options))
            .map_err(|error| Failure::input(format!("[mqtt]: {error}")))?;
    }
    Ok(())
}

fn check_schema(config: &Config) -> Result<Schema, Failure> {
    let Some(path) = &config.db.schema else {
        return Ok(built_in_schema());
    };
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::input(format!(
            "{name}: named by `db.schema`, cannot be read: {error}"
        ))
    })?;
    parse_schema(&text).map_err(|error| Failure::input(format!("{name}: {error}")))
}

/// The values as a file that means the same, with the origin of each as a comment.
fn listing(loaded: &Loaded) -> String {
    let mut text = String::new();
    if let Some(profile) = &loaded.profile {
        text.push_str(&format!("# profile {profile}\n"));
    }
    for value in &loaded.effective {
        let line = match &value.value {
            Some(literal) => format!("{} = {literal}", value.key),
            None => format!("# {} is not set", value.key),
        };
        let comment = match (&value.value, &value.origin) {
            (None, Origin::Default) => String::new(),
            (_, origin) => format!("# {origin}"),
        };
        text.push_str(format!("{line:<46}  {comment}").trim_end());
        text.push('\n');
    }
    text
}

fn describe(inputs: &Inputs, loaded: &Loaded) -> Value {
    let values: Vec<Value> = loaded
        .effective
        .iter()
        .map(|value| {
            let literal = value.value.as_deref().unwrap_or("null");
            let literal: Value = serde_json::from_str(literal)
                .expect("the literals of the configuration are JSON, too");
            json!({"key": value.key, "value": literal, "origin": value.origin.to_string()})
        })
        .collect();
    json!({
        "file": inputs.file.as_ref().map(|(name, _)| name),
        "profile": loaded.profile,
        "values": values,
        "hints": loaded.hints,
    })
}

fn describe_errors(errors: &ConfigErrors) -> Value {
    let one = |error: &periwinkle_core::config::ConfigError| json!({"place": error.origin.to_string(), "problem": error.problem.to_string()});
    json!({"errors": errors.iter().map(one).collect::<Vec<_>>()})
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(text: &str) -> Inputs {
        Inputs {
            file: Some(("p.toml".to_owned(), text.to_owned())),
            environment: vec![("PERIWINKLE_DB__CACHE".to_owned(), "1 MB".to_owned())],
            profile: None,
            overrides: Vec::new(),
        }
    }

    #[test]
    fn the_listing_is_a_configuration_with_the_origin_of_each_value() {
        let inputs = inputs("[db]\nflush = '2 s'\n[web]\ntls_key = ''\n");
        let loaded = inputs.load().unwrap();
        let text = listing(&loaded);
        let line = |key: &str| {
            text.lines()
                .find(|line| line.contains(key))
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            line("db.flush"),
            format!("{:<46}  # p.toml:2", "db.flush = \"2 s\"")
        );
        assert_eq!(
            line("db.cache"),
            format!("{:<46}  # PERIWINKLE_DB__CACHE", "db.cache = \"1 MB\"")
        );
        assert_eq!(line("db.schema"), "# db.schema is not set");
        assert_eq!(
            line("web.tls_key"),
            format!("{:<46}  # p.toml:4", "# web.tls_key is not set")
        );
        let again = self::inputs(&text).load().unwrap();
        assert_eq!(again.config, loaded.config);
    }

    #[test]
    fn json_has_typed_values() {
        let inputs = inputs("");
        let shown = describe(&inputs, &inputs.load().unwrap());
        let value = |key: &str| {
            let values = shown["values"].as_array().unwrap();
            values
                .iter()
                .find(|value| value["key"] == key)
                .unwrap()
                .clone()
        };
        assert_eq!(shown["file"], "p.toml");
        assert_eq!(shown["profile"], Value::Null);
        assert_eq!(
            value("runtime.threads"),
            json!({"key": "runtime.threads", "value": 1, "origin": "default"})
        );
        assert_eq!(value("device.id")["value"], Value::Null);
        assert_eq!(value("db.cache")["origin"], "PERIWINKLE_DB__CACHE");
        #[cfg(feature = "web")]
        assert_eq!(
            value("web.listen")["value"],
            json!(["http://127.0.0.1:8080"])
        );
    }

    #[test]
    fn errors_in_json_have_place_and_problem() {
        let errors = inputs("[db]\nflsuh = '2 s'\n").load().unwrap_err();
        assert_eq!(
            describe_errors(&errors),
            json!({"errors": [{
                "place": "p.toml:2",
                "problem": "unknown key `db.flsuh`; did you mean `db.flush`?",
            }]})
        );
    }

    #[test]
    fn a_file_that_the_configuration_names_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("s.json5");
        let config = inputs(&format!("db.schema = '{}'", schema.display()))
            .load()
            .unwrap()
            .config;
        let words = || check_files(&config).unwrap_err().to_string();
        let name = schema.display().to_string();
        assert!(words().starts_with(&format!("{name}: named by `db.schema`, cannot be read: ")));
        fs::write(&schema, "{models: ").unwrap();
        assert!(words().starts_with(&format!("{name}: ")), "{}", words());
        assert_eq!(check_files(&config).unwrap_err().code, 2);
    }

    #[test]
    fn a_time_mark_may_be_absent_and_must_be_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let check = |path: &std::path::Path| {
            let text = format!("runtime.time_mark = '{}'", path.display());
            check_files(&inputs(&text).load().unwrap().config)
        };
        assert!(check(&mark).is_ok());
        fs::write(&mark, "").unwrap();
        assert!(check(&mark).is_ok());
        let words = |path: &std::path::Path| check(path).unwrap_err().to_string();
        let name = folder.path().display().to_string();
        let expected = format!(
            "{name}: named by `runtime.time_mark`, is no file; name the one that is touched when the \
             clock is right"
        );
        assert_eq!(words(folder.path()), expected);
        let below = mark.join("below");
        let refused = format!(
            "{}: named by `runtime.time_mark`, cannot be looked at: ",
            below.display()
        );
        assert!(words(&below).starts_with(&refused));
        assert_eq!(check(&below).unwrap_err().code, 2);
    }
}
