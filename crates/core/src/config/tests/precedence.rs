//! File, profile, environment and command line, and which is stronger.

use super::*;

const PROFILES: &str = "\
[db]
flush = '1 s'
cache = '1 MB'
[profile.prod.db]
flush = '2 s'
[profile.dev.db]
flush = '3 s'
";

#[test]
fn a_later_source_is_stronger() {
    let mut sources = file(PROFILES);
    let flush = |sources: &Sources<'_>| {
        let loaded = load(sources).unwrap();
        let seconds = loaded.config.db.flush.as_secs();
        (seconds, origin(&loaded, "db.flush"))
    };
    assert_eq!(flush(&sources), (1, "periwinkle.toml:2".to_owned()));
    sources.environment = environment(&[("PERIWINKLE_PROFILE", "dev")]);
    assert_eq!(flush(&sources), (3, "periwinkle.toml:7".to_owned()));
    sources.profile = Some("prod");
    assert_eq!(flush(&sources), (2, "periwinkle.toml:5".to_owned()));
    sources.environment = environment(&[("PERIWINKLE_DB__FLUSH", "4 s")]);
    assert_eq!(flush(&sources), (4, "PERIWINKLE_DB__FLUSH".to_owned()));
    sources.overrides = vec![
        Override::set("db.flush=5 s").unwrap(),
        Override::set("db.flush = 6 s").unwrap(),
    ];
    assert_eq!(flush(&sources), (6, "--set db.flush".to_owned()));
}

#[test]
fn a_profile_changes_only_what_it_names() {
    let mut sources = file(PROFILES);
    sources.profile = Some("prod");
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.profile.as_deref(), Some("prod"));
    assert_eq!(loaded.config.db.cache, Bytes(1_000_000));
    assert_eq!(loaded.config.db.flush, Duration::from_secs(2));
}

#[test]
fn a_profile_that_is_not_there_is_an_error_of_who_asked_for_it() {
    let mut sources = file(PROFILES);
    sources.profile = Some("pord");
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "--profile: no profile `pord` in periwinkle.toml; it has `dev`, `prod`"
    );
    sources.profile = None;
    sources.environment = environment(&[("PERIWINKLE_PROFILE", "x")]);
    sources.file = Some(File {
        name: "a.toml",
        text: "",
    });
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "PERIWINKLE_PROFILE: no profile `x` in a.toml, which has no profiles"
    );
    sources.file = None;
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "PERIWINKLE_PROFILE: profile `x` needs a configuration file, and there is none"
    );
}

#[test]
fn a_mistake_in_a_profile_is_found_before_the_profile_is_used() {
    assert_eq!(
        complaint("[profile.prod.db]\nflush = 5\ncahce = '1 MB'\n"),
        "periwinkle.toml:2: `db.flush` must be a time with its unit, such as \"10 s\" or \"5 \
         mins\", not 5\n\
         periwinkle.toml:3: unknown key `db.cahce`; did you mean `db.cache`?"
    );
}

#[test]
fn the_environment_speaks_every_kind_of_value() {
    let sources = Sources {
        environment: environment(&[
            (
                "PERIWINKLE_WEB__LISTEN",
                "http://127.0.0.1:1, http://[::1]:2",
            ),
            ("PERIWINKLE_WEB__HOSTS", ""),
            ("PERIWINKLE_WEB__CONNECTIONS_MAX", " 7 "),
            ("PERIWINKLE_METRICS__ENABLE", "off"),
            ("PERIWINKLE_DEVICE__ID", "pump-7"),
            ("PERIWINKLE_SYNC__TABLE", ""),
            ("HOME", "/root"),
        ]),
        features: ALL,
        ..Sources::default()
    };
    let config = config(&sources);
    let listen: Vec<String> = config.web.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["http://127.0.0.1:1", "http://[::1]:2"]);
    assert!(config.web.hosts.is_empty());
    assert_eq!(config.web.connections_max, 7);
    assert!(!config.metrics.enable);
    assert_eq!(config.device.id.unwrap().as_str(), "pump-7");
    assert_eq!(config.sync.table, None);
}

#[test]
fn an_error_in_the_environment_names_the_variable() {
    let sources = Sources {
        environment: environment(&[
            ("PERIWINKLE_WEB__LISTNE", "x"),
            ("PERIWINKLE_DB__FLUSH", "soon"),
        ]),
        features: ALL,
        ..Sources::default()
    };
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "PERIWINKLE_DB__FLUSH: `db.flush` must be a time with its unit, such as \"10 s\" or \"5 \
         mins\", not \"soon\"\n\
         PERIWINKLE_WEB__LISTNE: unknown key `web.listne`; did you mean `web.listen`?"
    );
}

#[test]
fn variables_that_container_tools_make_are_left_alone() {
    let sources = Sources {
        environment: environment(&[
            ("PERIWINKLE_PORT", "tcp://10.0.0.1:80"),
            ("PERIWINKLE_SERVICE_HOST", "10.0.0.1"),
        ]),
        features: ALL,
        ..Sources::default()
    };
    assert_eq!(config(&sources), Config::default());
}

#[test]
fn an_error_on_the_command_line_names_the_option() {
    assert_eq!(
        Override::set("db.flush").unwrap_err().to_string(),
        "--set db.flush: must have the form `section.key=value`"
    );
    let sources = Sources {
        overrides: vec![Override::set("flush=1 s").unwrap()],
        ..Sources::default()
    };
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "--set flush: unknown key `flush`; did you mean `db.flush`?"
    );
}

#[test]
fn an_empty_text_takes_an_earlier_value_back() {
    let mut sources = file("device.id = 'pump'\n[profile.x.device]\nid = ''\n");
    assert!(config(&sources).device.id.is_some());
    sources.profile = Some("x");
    assert_eq!(config(&sources).device.id, None);
}

#[test]
fn relative_paths_start_from_the_directory_of_their_file() {
    let text = "runtime.state = 'data'\ndb.schema = '/etc/schema.json5'\n";
    let mut sources = Sources {
        file: Some(File {
            name: "/etc/periwinkle/periwinkle.toml",
            text,
        }),
        features: ALL,
        ..Sources::default()
    };
    let loaded = config(&sources);
    assert_eq!(loaded.runtime.state, Path::new("/etc/periwinkle/data"));
    assert_eq!(
        loaded.db.schema.as_deref(),
        Some(Path::new("/etc/schema.json5"))
    );
    sources.overrides = vec![Override::set("runtime.state=data").unwrap()];
    assert_eq!(config(&sources).runtime.state, Path::new("data"));
}
