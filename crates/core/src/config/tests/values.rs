//! Every key: its default, its bounds, how it is read and how it is shown.

use super::*;

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
        class = "low"
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
fn a_device_id_of_128_bytes_is_the_longest() {
    let of = |length: usize| load(&file(&format!("device.id = '{}'", "a".repeat(length))));
    assert!(of(128).is_ok());
    assert!(of(129).is_err());
    assert!(DeviceId::new("").is_err());
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
        // No two name the same files.
        let table =
            |at: usize| format!("[[{key}]]\n{}\n", fields.replace("/v/", &format!("/{at}/")));
        let tables = |count: usize| (0..count).map(table).collect::<String>();
        config(&file(&tables(count_max)));
        let beyond = count_max + 1;
        assert_eq!(
            complaint(&tables(beyond)),
            format!("periwinkle.toml:1: `{key}` takes at most {count_max} of them, not {beyond}")
        );
    }
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

#[test]
fn the_guide_lists_exactly_the_keys_there_are() {
    let page = include_str!("../../../../../docs/guide/configuration.md");
    assert!(
        page == reference(),
        "docs/guide/configuration.md is stale: write it again with \
         `cargo run -- check --reference`"
    );
}
