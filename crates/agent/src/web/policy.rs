//! Who may do what: the one table of the built-in routes. The first entry that fits decides.

use http::Method;
use periwinkle_core::auth::Role;

/// What a request needs before a handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the handler decides what to show to whom.
    Nothing,
    /// A login with at least this role.
    Role(Role),
}

#[derive(Clone, Copy)]
enum Verbs {
    All,
    Reads,
}

const TABLE: [(&str, Verbs, Needs); 10] = [
    ("/api/v1/setup", Verbs::All, Needs::Nothing),
    (
        "/api/v1/session/password",
        Verbs::All,
        Needs::Role(Role::Viewer),
    ),
    ("/api/v1/session", Verbs::All, Needs::Nothing),
    ("/api/v1/status", Verbs::Reads, Needs::Nothing),
    ("/api/v1/users", Verbs::All, Needs::Role(Role::Owner)),
    ("/api/v1/agent", Verbs::All, Needs::Role(Role::Owner)),
    // The whole database at once, hidden fields included.
    ("/api/v1/database/", Verbs::All, Needs::Role(Role::Owner)),
    // To listen to messages is to act in the device's name.
    ("/api/v1/mqtt/", Verbs::All, Needs::Role(Role::Editor)),
    ("/api/", Verbs::Reads, Needs::Role(Role::Viewer)),
    ("/api/", Verbs::All, Needs::Role(Role::Editor)),
];

/// What the built-in route of this path needs.
pub fn needs(method: &Method, path: &str) -> Needs {
    let fits = |(prefix, verbs, _): &&(&str, Verbs, Needs)| {
        under(path, prefix) && (matches!(verbs, Verbs::All) || is_read(method))
    };
    TABLE
        .iter()
        .find(fits)
        .map_or(Needs::Role(Role::Owner), |(.., needs)| *needs)
}

/// Whether the body of a request is streamed to its handler and may be as long as those of the
/// maker's routes; the handler answers when it has all of it.
pub fn streams_in(method: &Method, path: &str) -> bool {
    *method == Method::PUT && path.starts_with("/api/v1/uploads/objects/")
}

/// Whether a method is safe in the sense of RFC 9110, 9.2.1: it asks and changes nothing.
pub fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_route_needs_what_the_table_says() {
        let role = Needs::Role;
        let table = [
            (Method::POST, "/api/v1/setup", Needs::Nothing),
            (Method::GET, "/api/v1/session", Needs::Nothing),
            (Method::PUT, "/api/v1/session/password", role(Role::Viewer)),
            (Method::GET, "/api/v1/status", Needs::Nothing),
            (Method::POST, "/api/v1/status", role(Role::Editor)),
            (Method::GET, "/api/v1/users", role(Role::Owner)),
            (Method::DELETE, "/api/v1/users/ann", role(Role::Owner)),
            (Method::GET, "/api/v1/data/Setting", role(Role::Viewer)),
            (Method::PATCH, "/api/v1/data/Setting/x", role(Role::Editor)),
            (Method::GET, "/api/v1/database", role(Role::Viewer)),
            (Method::GET, "/api/v1/database/export", role(Role::Owner)),
            (Method::POST, "/api/v1/database/import", role(Role::Owner)),
            (Method::GET, "/api/v1/mqtt", role(Role::Viewer)),
            (Method::GET, "/api/v1/mqtt/subscribe", role(Role::Editor)),
            (Method::POST, "/api/v1/mqtt/publish", role(Role::Editor)),
            (Method::GET, "/api/v1/uploads", role(Role::Viewer)),
            (Method::DELETE, "/api/v1/uploads/x", role(Role::Editor)),
            (Method::PUT, "/api/v1/uploads/objects/x", role(Role::Editor)),
            (Method::GET, "/api/v1/setups", role(Role::Viewer)),
            (Method::GET, "/api/v2/anything", role(Role::Viewer)),
        ];
        for (method, path, expected) in table {
            assert_eq!(needs(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn only_what_is_uploaded_is_streamed_in() {
        assert!(streams_in(&Method::PUT, "/api/v1/uploads/objects/a/b"));
        assert!(!streams_in(&Method::POST, "/api/v1/uploads/objects/a"));
        assert!(!streams_in(&Method::PUT, "/api/v1/uploads/objects"));
        assert!(!streams_in(&Method::PUT, "/api/v1/data/Setting/x"));
    }

    #[test]
    fn a_path_that_no_entry_names_needs_the_owner() {
        assert_eq!(needs(&Method::GET, "/elsewhere"), Needs::Role(Role::Owner));
    }
}
