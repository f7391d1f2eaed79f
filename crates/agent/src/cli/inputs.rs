//! Where the configuration comes from on this machine: files, environment, command line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use periwinkle_core::config::{self, ConfigErrors, Loaded, Override, Sources};
use periwinkle_core::limits::CONFIG_FILE_BYTES_MAX;

use super::args::Global;
use super::failure::Failure;
use crate::services::FEATURES;

/// The texts that a configuration is made from.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The file's name and its text.
    pub(super) file: Option<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) profile: Option<String>,
    pub(super) overrides: Vec<Override>,
}

/// Where the configuration is looked for when nobody names one.
const PLACES: [&str; 2] = ["periwinkle.toml", "/etc/periwinkle/periwinkle.toml"];

const CONFIG_VARIABLE: &str = "PERIWINKLE_CONFIG";

impl Inputs {
    /// Reads what the command line names, or what is in the usual places.
    pub(super) fn gather(global: &Global) -> Result<Inputs, Failure> {
        let environment = environment(std::env::vars_os())?;
        Ok(Inputs {
            file: file(global, &environment)?,
            environment,
            profile: global.profile.clone(),
            overrides: overrides(global)?,
        })
    }

    /// The configuration, or every error in it.
    pub(super) fn load(&self) -> Result<Loaded, ConfigErrors> {
        let file = self.file.as_ref();
        config::load(&Sources {
            file: file.map(|(name, text)| config::File { name, text }),
            environment: self.environment.clone(),
            profile: self.profile.as_deref(),
            overrides: self.overrides.clone(),
            features: FEATURES,
        })
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Failure {
        Failure::input(errors.to_string())
    }
}

/// Our variables; others may hold anything.
fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Failure> {
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("PERIWINKLE_"))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Failure::input(format!("{name}: the value is not UTF-8"))),
        })
        .collect()
}

fn file(
    global: &Global,
    environment: &[(String, String)],
) -> Result<Option<(String, String)>, Failure> {
    if let Some(path) = &global.config {
        return read(path).map(Some);
    }
    let variable = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
    if let Some((_, path)) = variable.filter(|(_, path)| !path.is_empty()) {
        return read(&PathBuf::from(path)).map(Some);
    }
    let found = PLACES.iter().map(Path::new).find(|place| place.exists());
    found.map(read).transpose()
}

/// At most one byte more than a configuration may have: the loader says that it is too large.
fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let failed = |error: io::Error| Failure::input(format!("{name}: cannot be read: {error}"));
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(CONFIG_FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(Failure::input(format!(
                "{name}:{line}: the text is not UTF-8"
            )))
        }
    }
}

fn overrides(global: &Global) -> Result<Vec<Override>, Failure> {
    let mut overrides = Vec::new();
    for argument in &global.set {
        let given = Override::set(argument).map_err(|error| Failure::usage(error.to_string()))?;
        overrides.push(given);
    }
    if let Some(state) = &global.state {
        let value = state
            .to_str()
            .ok_or_else(|| Failure::usage(format!("--state: {} is not UTF-8", state.display())))?;
        overrides.push(Override {
            option: "--state".to_owned(),
            key: "runtime.state".to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn named(path: &Path) -> Global {
        Global {
            config: Some(path.to_owned()),
            ..Global::default()
        }
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error_with_its_name() {
        let failure = file(&named(Path::new("/nowhere/p.toml")), &[]).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(
            failure
                .to_string()
                .starts_with("/nowhere/p.toml: cannot be read: "),
            "{failure}"
        );
    }

    #[test]
    fn the_option_is_stronger_than_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        fs::write(&a, "# a").unwrap();
        fs::write(&b, "# b").unwrap();
        let variable = vec![(CONFIG_VARIABLE.to_owned(), b.display().to_string())];
        let text = |found: Option<(String, String)>| found.unwrap().1;
        assert_eq!(text(file(&named(&a), &variable).unwrap()), "# a");
        assert_eq!(text(file(&Global::default(), &variable).unwrap()), "# b");
    }

    #[test]
    fn a_file_that_is_not_text_is_refused_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        fs::write(&path, b"[web]\n\n\xff").unwrap();
        let failure = file(&named(&path), &[]).unwrap_err();
        let expected = format!("{}:3: the text is not UTF-8", path.display());
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn only_our_variables_must_be_text() {
        let broken = || OsString::from_vec(vec![0xff]);
        let variables = |name: &str| vec![(OsString::from(name), broken())].into_iter();
        assert_eq!(environment(variables("LS_COLORS")), Ok(Vec::new()));
        let failure = environment(variables("PERIWINKLE_DEVICE__ID")).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "PERIWINKLE_DEVICE__ID: the value is not UTF-8"
        );
    }

    #[test]
    fn the_state_directory_is_the_strongest_override() {
        let global = Global {
            state: Some(PathBuf::from("/s")),
            set: vec!["runtime.state=/t".to_owned()],
            ..Global::default()
        };
        let keys: Vec<String> = overrides(&global)
            .unwrap()
            .into_iter()
            .map(|o| o.option)
            .collect();
        assert_eq!(keys, ["--set runtime.state", "--state"]);
        let wrong = Global {
            set: vec!["web".to_owned()],
            ..Global::default()
        };
        assert_eq!(overrides(&wrong).unwrap_err().code, 64);
    }
}
