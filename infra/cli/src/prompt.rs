//! What is asked of the operator: a secret without echo, and a yes before something is changed.

use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use operate::Error;
use secrecy::SecretString;

use crate::Stop;
use crate::screen::Screen;

/// No secret of a source is longer, and a file that is was not meant.
const LONGEST_SECRET: u64 = 4096;

/// Where secrets come from: never from an argument, which other users of the machine see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsFrom {
    /// A file, one secret a line in the order in which they are asked for.
    File(PathBuf),
    /// Standard input, in the same form.
    Stdin,
    /// The person at the terminal.
    Prompt,
}

impl SecretsFrom {
    /// A file where one is named (`-` is standard input), a person where there is one, and else standard input.
    #[must_use]
    pub fn chosen(file: Option<&Path>, screen: &Screen) -> Self {
        match file {
            Some(path) if path == Path::new("-") => Self::Stdin,
            Some(path) => Self::File(path.to_path_buf()),
            None if screen.is_interactive() => Self::Prompt,
            None => Self::Stdin,
        }
    }

    /// One secret for each of these names.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are fewer or more, or one is empty.
    pub async fn read(
        &self,
        names: &[&'static str],
        screen: &mut Screen,
    ) -> Result<Vec<SecretString>, Stop> {
        let names = names.to_vec();
        match self {
            Self::Prompt => {
                let mut secrets = Vec::new();
                for name in names {
                    secrets.push(asked(name, screen).await?);
                }
                Ok(secrets)
            }
            Self::File(path) => {
                let what = path.display().to_string();
                let file = std::fs::File::open(path)
                    .map_err(|error| Error::Usage(format!("{what}: {error}")))?;
                Ok(lines(file, &names, &what)?)
            }
            Self::Stdin => {
                let read = move || lines(io::stdin().lock(), &names, "standard input");
                Ok(beside(read).await??)
            }
        }
    }
}

/// Waits for a person or a pipe beside the runtime, so that Ctrl-C is seen meanwhile.
async fn beside<T: Send + 'static>(
    wait: impl FnOnce() -> T + Send + 'static,
) -> Result<T, io::Error> {
    tokio::task::spawn_blocking(wait)
        .await
        .map_err(io::Error::other)
}

async fn asked(name: &str, screen: &mut Screen) -> Result<SecretString, Stop> {
    screen.ask(&format!("{name} (not shown):"));
    let secret = beside(|| console::Term::stderr().read_secure_line()).await??;
    match secret.trim().is_empty() {
        true => Err(Error::Usage(format!("{name} is empty")).into()),
        false => Ok(secret.trim().to_owned().into()),
    }
}

fn lines(from: impl io::Read, names: &[&str], what: &str) -> Result<Vec<SecretString>, Error> {
    let mut text = String::new();
    let read = from.take(LONGEST_SECRET).read_to_string(&mut text);
    // The reason could repeat what was read.
    read.map_err(|_| Error::Usage(format!("{what} cannot be read as text")))?;
    let secrets: Vec<SecretString> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.to_owned().into())
        .collect();
    match secrets.len() == names.len() {
        true => Ok(secrets),
        false => Err(Error::Usage(format!(
            "{what} has {} lines and not {}: {}, a line each",
            secrets.len(),
            names.len(),
            names.join(", ")
        ))),
    }
}

/// Whether the operator agrees. With `--yes` nobody is asked.
///
/// # Errors
/// [`Error::Usage`] where nobody can be asked.
pub async fn agrees(question: &str, yes: bool, screen: &mut Screen) -> Result<bool, Stop> {
    if yes {
        return Ok(true);
    }
    if !screen.is_interactive() {
        let message = format!("{question} Nobody can be asked here: give --yes");
        return Err(Error::Usage(message).into());
    }
    screen.ask(&format!("{question} [y/N]"));
    let read = || {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    };
    let answer = beside(read).await??;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one("marker\n", &["client_secret"], Some(1))]
    #[case::blank_lines("\n  marker  \r\n\n", &["client_secret"], Some(1))]
    #[case::two("marker\nmarker2", &["a", "b"], Some(2))]
    #[case::too_few("marker", &["a", "b"], None)]
    #[case::too_many("marker\nmarker2\nmarker3", &["a"], None)]
    #[case::nothing("", &["a"], None)]
    fn secrets_come_a_line_each(
        #[case] text: &str,
        #[case] names: &[&str],
        #[case] expected: Option<usize>,
    ) {
        let read = lines(text.as_bytes(), names, "the file");
        if let Err(error) = &read {
            assert!(
                matches!(error, Error::Usage(_)) && !error.to_string().contains("marker"),
                "{error}"
            );
        }
        assert!(!format!("{read:?}").contains("marker"));
        assert_eq!(read.ok().map(|secrets| secrets.len()), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_not_repeated() {
        let error = lines(&b"marker\xff"[..], &["a"], "the file").unwrap_err();
        assert!(!error.to_string().contains("marker"), "{error}");
    }

    #[tokio::test]
    async fn nobody_is_asked_where_nobody_sits_and_yes_is_taken_for_it() {
        let (mut screen, _) = Screen::of_test(false);
        let refused = agrees("Disconnect acme?", false, &mut screen)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, Stop::Failed(Error::Usage(message)) if message.contains("--yes"))
        );
        assert!(agrees("Disconnect acme?", true, &mut screen).await.unwrap());
    }

    #[test]
    fn a_file_or_standard_input_where_nobody_sits() {
        let (screen, _) = Screen::of_test(false);
        assert_eq!(SecretsFrom::chosen(None, &screen), SecretsFrom::Stdin);
        assert_eq!(
            SecretsFrom::chosen(Some(Path::new("-")), &screen),
            SecretsFrom::Stdin
        );
        let file = SecretsFrom::chosen(Some(Path::new("s")), &screen);
        assert_eq!(file, SecretsFrom::File("s".into()));
    }
}
