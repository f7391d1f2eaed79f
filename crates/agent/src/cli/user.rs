//! `periwinkle user`: the users of the running agent.

use http::Method;
use periwinkle_core::auth::{Role, UserName};
use serde_json::{Value, json};

use super::args::{Json, UserCommand};
use super::failure::Failure;
use super::inputs::Inputs;
use super::{control, output, prompt, table};

const USERS: &str = "/api/v1/users";

pub(super) fn user(inputs: &Inputs, command: &UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::List(json) => list(inputs, *json),
        UserCommand::Add {
            name,
            role,
            password,
            json,
        } => {
            let (name, role) = (checked_name(name)?, checked_role(role)?);
            control::check_reachable(inputs)?;
            let password = prompt::new_password(name.as_str(), *password)?;
            let user = json!({
                "name": name.as_str(),
                "password": password.expose(),
                "role": role.as_str(),
            });
            control::ask(inputs, *json, (Method::POST, USERS, Some(user)))?;
            done(*json, &format!("{name} can log in now, as {role}"))
        }
        UserCommand::Password {
            name,
            password,
            json,
        } => {
            let name = checked_name(name)?;
            control::check_reachable(inputs)?;
            let password = prompt::new_password(name.as_str(), *password)?;
            let change = json!({"password": password.expose()});
            control::ask(inputs, *json, (Method::PATCH, &path(&name), Some(change)))?;
            done(
                *json,
                &format!("{name} has a new password and must log in again"),
            )
        }
        UserCommand::Role { name, role, json } => {
            let (name, role) = (checked_name(name)?, checked_role(role)?);
            let change = json!({"role": role.as_str()});
            control::ask(inputs, *json, (Method::PATCH, &path(&name), Some(change)))?;
            done(*json, &format!("{name} is {role} now"))
        }
        UserCommand::Remove { name, json } => {
            let name = checked_name(name)?;
            control::ask(inputs, *json, (Method::DELETE, &path(&name), None))?;
            done(*json, &format!("{name} is gone"))
        }
    }
}

fn list(inputs: &Inputs, json: Json) -> Result<(), Failure> {
    let answer = control::ask(inputs, json, (Method::GET, USERS, None))?;
    match json.json {
        true => Ok(()),
        false => output::print(&listing(&answer)),
    }
}

fn listing(answer: &Value) -> String {
    let users = answer["users"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if users.is_empty() {
        return "there are no users yet: `periwinkle setup` makes a code for the first owner, \
                `periwinkle user add NAME --role owner` adds one here"
            .to_owned();
    }
    let mut rows = vec![["NAME", "ROLE", "CREATED"].map(str::to_owned).to_vec()];
    for user in users {
        let cell = |field: &str| output::plain(user[field].as_str().unwrap_or("-"));
        rows.push(vec![cell("name"), cell("role"), cell("created")]);
    }
    table::columns(&rows)
}

/// With JSON the agent's answer was printed already.
fn done(json: Json, words: &str) -> Result<(), Failure> {
    match json.json {
        true => Ok(()),
        false => output::print(words),
    }
}

/// User names consist of characters that stand for themselves in a path.
fn path(name: &UserName) -> String {
    format!("{USERS}/{name}")
}

fn checked_name(name: &str) -> Result<UserName, Failure> {
    UserName::new(name).map_err(|error| Failure::usage(error.to_string()))
}

fn checked_role(role: &str) -> Result<Role, Failure> {
    role.parse()
        .map_err(|error| Failure::usage(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_listed_as_a_table() {
        let answer = json!({"users": [
            {"name": "ada", "role": "owner", "created": "2026-11-22T10:21:53.667Z"},
            {"name": "grace", "role": "viewer", "created": null},
        ]});
        assert_eq!(
            listing(&answer),
            "NAME   ROLE    CREATED\n\
             ada    owner   2026-11-22T10:21:53.667Z\n\
             grace  viewer  -\n"
        );
        assert!(listing(&json!({"users": []})).starts_with("there are no users yet"));
    }

    #[test]
    fn a_name_or_role_that_cannot_be_is_a_mistake_of_the_command_line() {
        assert_eq!(checked_name("a/b").unwrap_err().code, 64);
        assert_eq!(checked_role("admin").unwrap_err().code, 64);
        assert_eq!(
            path(&checked_name("Ada@home").unwrap()),
            "/api/v1/users/ada@home"
        );
    }
}
