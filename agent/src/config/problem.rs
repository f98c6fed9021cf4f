//! What is wrong with a configuration: every problem at once, each with its line and path.
//!
//! Pure. Readers add [`Problem`]s and go on; only the caller of [`super::Config::load`] sees them as an error.

use std::fmt;

/// One step from a document's root to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Where in the document a value stands: `capture.ring_bytes`, `servers[1].engine`, or "" for the document itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1; absent where the value stands nowhere.
    pub line: Option<usize>,
    /// Where.
    pub path: Path,
    /// What was expected and what was found.
    pub message: String,
}

/// Problems found so far, in the order in which the settings are declared.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// The file, as the operator named it.
    pub file: String,
    /// At least one, by line.
    pub problems: Vec<Problem>,
}

impl Path {
    /// This path and one key more.
    #[must_use]
    pub fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    /// This path and one index more.
    #[must_use]
    pub fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Invalid {
    /// Variables of the environment that cannot be used.
    #[must_use]
    pub fn environment(problems: Vec<String>) -> Invalid {
        let problem = |message| Problem { line: None, path: Path::default(), message };
        Invalid { file: "environment".to_owned(), problems: problems.into_iter().map(problem).collect() }
    }
}

impl Problems {
    /// Adds a problem; its line is looked up later, where the text is known.
    pub fn add(&mut self, path: &Path, message: impl Into<String>) {
        self.0.push(Problem { line: None, path: path.clone(), message: message.into() });
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Problem { line, path, message }) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = line {
                write!(f, ":{line}")?;
            }
            if !path.0.is_empty() {
                write!(f, ": {path}")?;
            }
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}
