//! The one shape of every validated text: parsed once, then shared cheaply.

/// Declares newtypes of validated text. Each stands with the noun for refusals and the function that
/// gives its canonical form: `fn(what, text) -> Result<Cow<str>, Refusal>`.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $canonical:path;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            serde::Serialize,
            serde::Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(inline)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Takes only text that is canonical already.
            pub fn from_canonical(text: &str) -> Result<Self, $crate::Refusal> {
                let canonical = $canonical($what, text)?;
                if canonical == text {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::Refusal::new($what, format!("is not canonical; write {canonical}")))
                }
            }

            /// The canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Refusal;

            /// Parses and canonicalises.
            fn from_str(text: &str) -> Result<Self, $crate::Refusal> {
                $canonical($what, text).map(|canonical| Self(canonical.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Refusal;

            fn try_from(text: String) -> Result<Self, $crate::Refusal> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.as_ref().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )+};
}

pub(crate) use text;
