//! One name or several.

/// Names, or expressions with names: `"a"`, `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub(super) Vec<String>);

impl From<&str> for Names {
    fn from(name: &str) -> Self {
        Names(vec![name.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Names {
    fn from(names: [&str; N]) -> Self {
        Names(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl From<&[&str]> for Names {
    fn from(names: &[&str]) -> Self {
        Names(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl From<Vec<String>> for Names {
    fn from(names: Vec<String>) -> Self {
        Names(names)
    }
}
