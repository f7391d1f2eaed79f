//! Files that hold a password in their first line.

use std::path::{Path, PathBuf};
use std::{fs, io};

use periwinkle_core::config::ProxyAddress;
use periwinkle_core::fetch::proxy::Proxy;
use periwinkle_core::secret::Secret;
use zeroize::Zeroizing;

/// Why there is no secret in a file. What is in it is not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFileError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A login has two parts.
    #[error("{path}: its first line is not name:password")]
    NoLogin {
        /// The file.
        path: PathBuf,
    },
}

/// The proxy of a section, with the login of its file.
pub(crate) fn proxy(
    address: &ProxyAddress,
    login_file: Option<&Path>,
) -> Result<Proxy, SecretFileError> {
    let mut proxy = address.0.clone();
    if let Some(path) = login_file {
        proxy.credentials = Some(login(path)?);
    }
    Ok(proxy)
}

/// The first line, without its end.
#[cfg(feature = "mqtt")]
pub(crate) fn password(path: &Path) -> Result<Secret, SecretFileError> {
    Ok(Secret::from(first_line(path)?.as_str()))
}

/// `name:password` in the first line.
fn login(path: &Path) -> Result<(String, Secret), SecretFileError> {
    let line = first_line(path)?;
    let parts = line.split_once(':');
    let (name, password) = parts.ok_or_else(|| SecretFileError::NoLogin {
        path: path.to_owned(),
    })?;
    Ok((name.to_owned(), Secret::from(password)))
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let read = fs::read_to_string(path).map(Zeroizing::new);
    let text = read.map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file with this text says as a login.
    fn read(text: &str) -> Result<(String, Secret), String> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("secret");
        fs::write(&path, text).expect("it is ours");
        login(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_login_is_the_first_line_without_its_end() {
        let expected = Ok(("na".to_owned(), Secret::from("p:a ")));
        for text in ["na:p:a ", "na:p:a \n", "na:p:a \r\n", "na:p:a \nmore\n"] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_login_is_not_quoted() {
        let error = read("geheim\nna:pa\n").unwrap_err();
        assert!(
            error.ends_with("/secret: its first line is not name:password"),
            "{error}"
        );
        let error = login(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent: No such file"), "{error}");
    }
}
