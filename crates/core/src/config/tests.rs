//! The configuration as its users meet it: sources in, values or words out.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::limits;

const ALL: &[&str] = &["web", "metrics", "mqtt", "fetch", "sync", "upload"];

fn file(text: &str) -> Sources<'_> {
    Sources {
        file: Some(File {
            name: "periwinkle.toml",
            text,
        }),
        features: ALL,
        ..Sources::default()
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// What the user is told about a file that cannot be used.
fn complaint(text: &str) -> String {
    load(&file(text)).unwrap_err().to_string()
}

fn config(sources: &Sources<'_>) -> Config {
    match load(sources) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

fn origin(loaded: &Loaded, key: &str) -> String {
    let effective = loaded.effective.iter().find(|value| value.key == key);
    effective.unwrap().origin.to_string()
}

#[test]
fn nothing_at_all_is_a_configuration_with_every_default() {
    let loaded = load(&Sources {
        features: ALL,
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.web.listen, [Listener::loopback(8080)]);
    assert_eq!(
        loaded.config.control_socket(),
        Path::new("./state/control.sock")
    );
    assert!(!loaded.config.sync.enable);
    assert!(loaded.hints.is_empty());
    assert!(
        loaded
            .effective
            .iter()
            .all(|value| value.origin == Origin::Default)
    );
}

#[test]
fn every_default_lies_within_its_own_bounds() {
    for section in keys::SECTIONS {
        for key in section.keys {
            let Some(default) = (key.default)() else {
                continue;
            };
            let name = key.name();
            let text = format!("[{}]\n{name} = {default}\n", section.name);
            load(&file(&text)).unwrap_or_else(|errors| panic!("{text}{errors}"));
        }
    }
}

#[test]
fn every_bound_is_itself_allowed() {
    for section in keys::SECTIONS {
        for key in section.keys {
            let Some((least, most)) = (key.bounds)() else {
                continue;
            };
            for bound in [least, most] {
                let raw = bound.trim_matches('"').to_owned();
                let checked = (key.check)(&setting::Raw::Loose(raw), Path::new(""));
                assert_eq!(checked, Ok(()), "{} = {bound}", key.path);
            }
        }
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let text = r#"
        [device]
        id = "pump-7"
        name = "Pump \"7\" \\ cellar"
        [web]
        listen = ["http://127.0.0.1:1", "http://[::1]:2"]
        hosts = ["Pump.local."]
        session_idle = "never"
        [db]
        cache = "1.5 MiB"
        [sync]
        endpoint = "http://[::1]:4566/"
        delay = "0 s"
        [[upload.watch]]
        pattern = "/var/spool/*.jpg"
        key = "${deviceId}/${name}"
        remove = true
        [[upload.watch]]
        pattern = "/var/log/**/[a-z]*.gz"
        min_age = "2 mins"
        [[mqtt.route]]
        from = "settings/+/set"
        model = "Setting"
        set = { id = "${topic.1}", "a.b" = "x; \"y\"" }
        [[mqtt.route]]
        model = "Setting"
        to = "settings/${deviceId}/${id}"
        payload = '{"v": "${v}; \\"}'
        qos = 0
        retain = true
    "#;
    let loaded = load(&file(text)).unwrap();
    let mut shown = String::new();
    for value in &loaded.effective {
        if let Some(literal) = &value.value {
            shown.push_str(&format!("{} = {literal}\n", value.key));
        }
    }
    assert_eq!(config(&file(&shown)), loaded.config);
    assert!(shown.contains("device.name = \"Pump \\\"7\\\" \\\\ cellar\"\n"));
    assert!(shown.contains(
        "upload.watch = [\"pattern=/var/spool/*.jpg; key=${deviceId}/${name}; remove=true; \
         min_age=10 s; priority=5\", "
    ));
    assert!(shown.contains("web.hosts = [\"pump.local\"]\n"));
    assert!(shown.contains("sync.endpoint = \"http://[::1]:4566\"\n"));
}

#[test]
fn both_clients_read_proxies_alike_and_never_show_the_password() {
    for key in ["mqtt.proxy", "fetch.proxy"] {
        let of = |address: &str| format!("{key} = '{address}'");
        for (address, shown) in [
            ("http://proxy.local:8080", "\"http://proxy.local:8080\""),
            (
                "http://na:geheim@proxy.local",
                "\"http://proxy.local:3128\"",
            ),
            ("socks5h://na:geheim@[::1]", "\"socks5h://[::1]:1080\""),
        ] {
            let loaded = load(&file(&of(address))).unwrap();
            let values = &loaded.effective;
            let value = values.iter().find(|value| value.key == key).unwrap();
            assert_eq!(value.value.as_deref(), Some(shown), "{address}");
            assert!(!format!("{:?}", loaded.config).contains("geheim"));
        }
        assert_eq!(
            complaint(&of("http://na:geheim@p:x")),
            format!(
                "periwinkle.toml:1: `{key}` must be a proxy's address, such as \
                 \"http://proxy.local:3128\" or \"socks5h://10.0.0.1\": \"x\" is no port"
            )
        );
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_valid_key() {
    for (text, words) in [
        (
            "[web]\n\nlistne = []\n",
            "periwinkle.toml:3: unknown key `web.listne`; did you mean `web.listen`?",
        ),
        (
            "web.listne = []",
            "periwinkle.toml:1: unknown key `web.listne`; did you mean `web.listen`?",
        ),
        (
            "[web]\ncache = '1 MB'\n",
            "periwinkle.toml:2: unknown key `web.cache`; did you mean `db.cache`?",
        ),
        (
            "[web]\ncolour = 'red'\n",
            "periwinkle.toml:2: unknown key `web.colour`; `periwinkle check --reference` lists \
             all",
        ),
        (
            "\n[wbe]\nlisten = []\n",
            "periwinkle.toml:2: unknown section `wbe`; did you mean `web`?",
        ),
        (
            "listen = []\n",
            "periwinkle.toml:1: unknown section `listen`; did you mean `web.listen`?",
        ),
        (
            "web = true\n",
            "periwinkle.toml:1: `web` is a section: write `[web]` and its keys below",
        ),
        (
            "profile = 'prod'\n",
            "periwinkle.toml:1: `profile` is a section: write `[profile]` and its keys below",
        ),
        (
            "[profile]\nprod = 1\n",
            "periwinkle.toml:2: `profile.prod` is a section: write `[profile.prod]` and its keys \
             below",
        ),
        (
            "[profile.prod.profile.x]\n",
            "periwinkle.toml:1: unknown section `profile`; `periwinkle check --reference` lists \
             all",
        ),
    ] {
        assert_eq!(complaint(text), words);
    }
}

#[test]
fn a_wrong_value_is_told_with_what_would_be_right() {
    for (line, words) in [
        (
            "db.cache = '20 lightyears'",
            "`db.cache` must be a size with its unit, such as \"20 MB\" or \"64 KiB\", not \
             \"20 lightyears\"",
        ),
        (
            "db.cache = 20",
            "`db.cache` must be a size with its unit, such as \"20 MB\" or \"64 KiB\", not 20",
        ),
        (
            "db.flush = '5'",
            "`db.flush` must be a time with its unit, such as \"10 s\" or \"5 mins\", not \"5\"",
        ),
        (
            "db.flush = 'never'",
            "`db.flush` must be a time with its unit, such as \"10 s\" or \"5 mins\", not \
             \"never\"",
        ),
        (
            "db.flush = '2 hours'",
            "`db.flush` must lie between \"10 ms\" and \"1 hour\", not \"2 hours\"",
        ),
        (
            "runtime.threads = 0",
            "`runtime.threads` must lie between 1 and 64, not 0",
        ),
        (
            "runtime.threads = -1",
            "`runtime.threads` must be a whole number, such as `100`, not -1",
        ),
        (
            "runtime.threads = 1.5",
            "`runtime.threads` must be a whole number, such as `100`, not a number with a point",
        ),
        (
            "metrics.enable = 'true'",
            "`metrics.enable` must be `true` or `false`, not \"true\"",
        ),
        (
            "log.level = 'loud'",
            "`log.level` must be \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", \
             not \"loud\"",
        ),
        (
            "web.listen = 'http://127.0.0.1'",
            "`web.listen` must be a list of listeners, such as `[\"http://127.0.0.1:8080\"]`, not \
             \"http://127.0.0.1\"",
        ),
        (
            "web.listen = ['127.0.0.1:80']",
            "`web.listen` must begin with `http://` or `https://`, not \"127.0.0.1:80\"",
        ),
        (
            "web.hosts = ['pump.local:8080']",
            "`web.hosts` must be a host's name without scheme and port, such as \"pump.local\", \
             not \"pump.local:8080\"",
        ),
        (
            "device.id = 'pump#7'",
            "`device.id` must be 1 to 128 letters, digits, `:`, `_` or `-`, such as \"pump-7\", \
             not \"pump#7\"",
        ),
        (
            "runtime.state = ''",
            "`runtime.state` must be a path, such as \"/var/lib/periwinkle\", not \"\"",
        ),
        (
            "sync.endpoint = 'http://127.0.0.1/path'",
            "`sync.endpoint` must be a URL without a path, such as \"http://127.0.0.1:4566\", not \
             \"http://127.0.0.1/path\"",
        ),
        (
            "db.schema = 1979-05-27",
            "`db.schema` must be a path, such as \"/var/lib/periwinkle\", not a date",
        ),
    ] {
        assert_eq!(complaint(line), format!("periwinkle.toml:1: {words}"));
    }
}

#[test]
fn a_device_id_of_128_bytes_is_the_longest() {
    let of = |length: usize| load(&file(&format!("device.id = '{}'", "a".repeat(length))));
    assert!(of(128).is_ok());
    assert!(of(129).is_err());
    assert!(DeviceId::new("").is_err());
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let words =
        complaint("[web]\nlistne = []\n[db]\ncache = 5\n[profile.prod.db]\nflush = '1'\n[wbe]\n");
    let places: Vec<&str> = words
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "periwinkle.toml:2",
            "periwinkle.toml:4",
            "periwinkle.toml:6",
            "periwinkle.toml:7"
        ]
    );
}

#[test]
fn each_wrong_element_of_a_list_is_told_with_its_own_line() {
    let watches = "[[upload.watch]]\npattern = '/a'\n\n\
                   [[upload.watch]]\npattern = '/b'\npriority = 10\n\
                   [[upload.watch]]\npatern = '/c'\n";
    let routes = "[[mqtt.route]]\nfrom = 'a'\nmodel = 'A'\nset.id = '${topic}'\n\
                  [[mqtt.route]]\nfrom = 'b'\nmodel = 'B'\n[mqtt.route.set]\nid = '${'\n";
    let texts = "[profile.prod]\nmqtt.route = [\n'a; model=A',\n'b',\n]\n";
    let listeners = "[web]\nlisten = [\n  'http://[::1]:1',\n  'ftp://[::1]:2', ':3',\n]\n";
    for (text, expected) in [
        (
            watches,
            "periwinkle.toml:4: `upload.watch` has a wrong `priority`: it must lie between 0 and \
             9, not 10\n\
             periwinkle.toml:7: `upload.watch` has no key `patern`; did you mean `pattern`?",
        ),
        (
            routes,
            "periwinkle.toml:5: `mqtt.route` has a wrong `set`: it has a wrong `id`: it is no \
             template: `${` without a `}` in \"${\"",
        ),
        (
            texts,
            "periwinkle.toml:4: `mqtt.route` needs the key `model`",
        ),
        (
            listeners,
            "periwinkle.toml:4: `web.listen` must begin with `http://` or `https://`, not \
             \"ftp://[::1]:2\"\n\
             periwinkle.toml:4: `web.listen` must begin with `http://` or `https://`, not \":3\"",
        ),
    ] {
        assert_eq!(complaint(text), expected);
    }
}

#[test]
fn more_errors_than_fit_are_counted() {
    let of = |count: usize| -> String {
        let lines: Vec<String> = (0..count).map(|n| format!("zzzzzz{n} = 1")).collect();
        complaint(&lines.join("\n"))
    };
    let shown = limits::CONFIG_ERRORS_SHOWN_MAX;
    assert_eq!(of(shown).lines().count(), shown);
    assert_eq!(of(shown + 1).lines().last(), Some("and 1 more"));
}

#[test]
fn text_that_is_not_toml_is_told_with_its_line() {
    for (text, place) in [
        ("[web]\nlisten = [\n", "periwinkle.toml:2: "),
        ("[web\n", "periwinkle.toml:1: "),
        (
            "[web]\nhosts = []\nhosts = []\n",
            "periwinkle.toml:3: duplicate key",
        ),
        ("[db]\nflush = 5 s\n", "periwinkle.toml:2: "),
        ("\u{1}", "periwinkle.toml:1: "),
    ] {
        let words = complaint(text);
        assert!(words.starts_with(place), "{words}");
    }
}

#[test]
fn a_file_of_the_largest_size_is_read_and_a_larger_one_is_not() {
    let most = limits::CONFIG_FILE_BYTES_MAX;
    let of = |length: usize| format!("#{}", " ".repeat(length - 1));
    assert!(load(&file(&of(most))).is_ok());
    assert_eq!(
        complaint(&of(most + 1)),
        "periwinkle.toml:1: the file is larger than 1048576 bytes: is it a configuration?"
    );
}

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

#[test]
fn values_that_cannot_stand_together_are_refused() {
    for (text, words) in [
        (
            "[sync]\nenable = true\nregion = 'eu-central-1'\n",
            "periwinkle.toml:2: `sync.enable` needs the table's name in `sync.table`",
        ),
        (
            "[sync]\nenable = true\ntable = 'periwinkle'\n",
            "periwinkle.toml:2: `sync.enable` needs the table's region in `sync.region`",
        ),
        (
            "[sync]\nendpoint = 'http://192.168.0.1:4566'\n",
            "periwinkle.toml:2: `sync.endpoint` http://192.168.0.1:4566 has no TLS and is not \
             this machine: use `https://`, or set `sync.insecure_endpoint = true` in a test \
             network",
        ),
        (
            "[fetch]\ncertificate = 'c.pem'\n",
            "periwinkle.toml:2: `fetch.certificate` needs its private key in `fetch.key`",
        ),
        (
            "[mqtt]\nkey = 'k.pem'\n",
            "periwinkle.toml:2: `mqtt.key` needs its certificate in `mqtt.certificate`",
        ),
        (
            "[fetch]\nkey = 'k.pem'\n",
            "periwinkle.toml:2: `fetch.key` needs its certificate in `fetch.certificate`",
        ),
        (
            "[fetch]\nproxy_login_file = 'l'\n",
            "periwinkle.toml:2: `fetch.proxy_login_file` is used only with `fetch.proxy`",
        ),
        (
            "[mqtt]\nproxy = 'http://na:pa@p'\nproxy_login_file = 'l'\n",
            "periwinkle.toml:3: `mqtt.proxy_login_file` cannot be set when `mqtt.proxy` holds a \
             login",
        ),
        (
            "[sync]\ncredentials = 'file'\n",
            "periwinkle.toml:2: `sync.credentials = \"file\"` needs the file in \
             `sync.credentials_file`",
        ),
        (
            "[sync]\ncredentials_file = 'c'\n",
            "periwinkle.toml:2: `sync.credentials_file` is used only with `sync.credentials = \
             \"file\"`",
        ),
        (
            "[upload]\nenable = true\nregion = 'eu-central-1'\n",
            "periwinkle.toml:2: `upload.enable` needs the bucket's name in `upload.bucket`",
        ),
        (
            "[upload]\nenable = true\nbucket = 'abc'\n",
            "periwinkle.toml:2: `upload.enable` needs the bucket's region in `upload.region`",
        ),
        (
            "[upload]\nendpoint = 'http://192.168.0.1:4566'\n",
            "periwinkle.toml:2: `upload.endpoint` http://192.168.0.1:4566 has no TLS and is not \
             this machine: use `https://`, or set `upload.insecure_endpoint = true` in a test \
             network",
        ),
        (
            "[[upload.watch]]\npattern = '/v/*'\nremov = true\n",
            "periwinkle.toml:1: `upload.watch` has no key `remov`; did you mean `remove`?",
        ),
        (
            "[web]\nlisten = ['https://127.0.0.1:1']\n",
            "periwinkle.toml:2: https://127.0.0.1:1 in `web.listen` needs `web.tls_certificate` \
             and `web.tls_key`",
        ),
        (
            "[web]\ntls_certificate = 'c.pem'\n",
            "periwinkle.toml:2: `web.tls_certificate` needs its private key in `web.tls_key`",
        ),
        (
            "[web]\ntls_key = 'k.pem'\n",
            "periwinkle.toml:2: `web.tls_key` needs its certificate in `web.tls_certificate`",
        ),
        (
            "[web]\nlisten = ['http://[::1]:1', 'http://[::1]:1']\n",
            "periwinkle.toml:2: `web.listen` names the address of http://[::1]:1 twice",
        ),
        (
            "[metrics]\nrow = '5 s'\ninterval = '10 s'\n",
            "periwinkle.toml:2: `metrics.row` sums up samples and cannot be shorter than \
             `metrics.interval`",
        ),
        (
            "[metrics]\ninterval = '10 mins'\n",
            "periwinkle.toml:2: `metrics.row` sums up samples and cannot be shorter than \
             `metrics.interval`",
        ),
    ] {
        assert_eq!(complaint(text), words);
    }
}

#[test]
fn combinations_that_work_are_not_refused() {
    for text in [
        "[sync]\nenable = true\ntable = 'abc'\nregion = 'eu-central-1'\n",
        "[sync]\nendpoint = 'http://192.168.0.1'\ninsecure_endpoint = true\n",
        "[upload]\nenable = true\nbucket = 'abc'\nregion = 'eu-central-1'\n",
        "[[upload.watch]]\npattern = '/v/*'\n[[upload.watch]]\npattern = 'w/*'\nremove = true\n",
        "[sync]\nendpoint = 'https://dynamodb.eu-central-1.amazonaws.com'\n",
        "[sync]\nendpoint = 'http://localhost:4566'\n",
        "[sync]\ncredentials = 'file'\ncredentials_file = 'c'\n",
        "[sync]\ncredentials = 'env'\ncredentials_file = 'c'\n",
        "[web]\nlisten = ['https://*']\ntls_certificate = 'c'\ntls_key = 'k'\n",
        "[web]\nlisten = ['http://127.0.0.1:0', 'http://127.0.0.1:0']\n",
        "[web]\nlisten = []\n",
        "[metrics]\nrow = '10 s'\ninterval = '10 s'\n",
    ] {
        config(&file(text));
    }
}

#[test]
fn arrays_hold_as_many_tables_as_their_bounds_say() {
    let arrays = [
        (
            "upload.watch",
            "pattern = '/v/*'",
            limits::UPLOAD_WATCHES_MAX,
        ),
        (
            "mqtt.route",
            "from = 'a'\nmodel = 'A'",
            limits::MQTT_ROUTES_MAX,
        ),
    ];
    for (key, fields, count_max) in arrays {
        let tables = |count: usize| format!("[[{key}]]\n{fields}\n").repeat(count);
        config(&file(&tables(count_max)));
        let beyond = count_max + 1;
        assert_eq!(
            complaint(&tables(beyond)),
            format!("periwinkle.toml:1: `{key}` takes at most {count_max} of them, not {beyond}")
        );
    }
}

#[test]
fn a_socket_path_of_107_bytes_is_the_longest() {
    let explicit = |length: usize| format!("control.socket = '/{}'", "s".repeat(length - 1));
    config(&file(&explicit(107)));
    assert_eq!(
        complaint(&explicit(108)),
        "periwinkle.toml:1: the path of the control socket has 108 bytes and Linux takes 107: \
         choose a shorter one"
    );
    let state = format!("runtime.state = '/{}'", "s".repeat(107));
    assert_eq!(
        complaint(&state),
        "periwinkle.toml:1: the path of the control socket has 121 bytes and Linux takes 107: \
         set `control.socket` to a shorter path, such as \"/run/periwinkle.sock\""
    );
}

#[test]
fn a_listener_that_refuses_logins_is_hinted_at() {
    let hints = |text: &str| load(&file(text)).unwrap().hints;
    assert_eq!(
        hints("web.listen = ['http://*:80']"),
        ["http://*:80 has no TLS: logins are refused there, unless `web.insecure_login` is true"]
    );
    assert_eq!(
        hints("web.listen = ['http://*:80']\nweb.insecure_login = true"),
        [
            "http://*:80 has no TLS and `web.insecure_login` is true: passwords can be read on \
             the way"
        ]
    );
    assert!(hints("web.listen = ['http://localhost:80']").is_empty());
}

#[test]
fn asking_for_what_was_compiled_out_is_an_error() {
    let mut sources = file("[sync]\nenable = true\ntable = 'abc'\n[metrics]\nenable = false\n");
    sources.features = &["web"];
    assert_eq!(
        load(&sources).unwrap_err().to_string(),
        "periwinkle.toml:2: `sync.enable` needs the feature `sync`, which is not compiled into \
         this program\n\
         periwinkle.toml:3: `sync.table` needs the feature `sync`, which is not compiled into \
         this program"
    );
}

#[test]
fn what_was_compiled_out_is_off_and_not_shown() {
    let mut sources = file("[metrics]\nenable = false\n[profile.cloud.sync]\nenable = true\n");
    sources.features = &["web"];
    let loaded = load(&sources).unwrap();
    let shown = |prefix: &str| loaded.effective.iter().any(|v| v.key.starts_with(prefix));
    assert!(shown("web.") && shown("db.") && shown("control."));
    assert!(!shown("metrics.") && !shown("sync."));
    sources.file = None;
    assert!(!config(&sources).metrics.enable);
}

#[test]
fn an_endpoint_says_what_goes_into_the_signature() {
    for (text, authority, loopback) in [
        ("http://127.0.0.1:4566", "127.0.0.1:4566", true),
        ("http://localhost", "localhost", true),
        ("http://[::1]:80", "[::1]", true),
        ("https://[2001:db8::1]:444", "[2001:db8::1]:444", false),
        (
            "https://DynamoDB.eu-central-1.amazonaws.com/",
            "dynamodb.eu-central-1.amazonaws.com",
            false,
        ),
        (
            "https://localhost.example.com",
            "localhost.example.com",
            false,
        ),
    ] {
        let endpoint = Endpoint::new(text).unwrap();
        assert_eq!(endpoint.authority(), authority);
        assert_eq!(endpoint.is_loopback(), loopback, "{text}");
    }
    for text in [
        "ftp://a",
        "http://",
        "http://a b",
        "http://a:0",
        "http://a:x",
        "http://u@a",
    ] {
        assert!(Endpoint::new(text).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z.\\[\\]='\"{}#0-9\n ]|web|db|flush|profile|\\PC){0,60}") {
        let mut sources = file(&text);
        sources.profile = Some("a");
        if let Err(errors) = load(&sources) {
            assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn the_guide_lists_exactly_the_keys_there_are() {
    let page = include_str!("../../../../docs/guide/configuration.md");
    assert!(
        page == reference(),
        "docs/guide/configuration.md is stale: write it again with \
         `cargo run -- check --reference`"
    );
}
