//! IMEX channels (reference: runtime-and-hook.md 4.5). All channels can only be asked for by a mount; the words `none` and
//! `void`, blanks, and `all` in a variable ask for none.

use super::devices::{items, requests_by_mount};
use super::{ContainerView, environment_counts, ignored};
use crate::config::Config;
use serde::Serialize;

const VARIABLE: &str = "NVIDIA_IMEX_CHANNELS";

/// Highest channel number.
const LAST: u32 = (1 << 20) - 1;

/// Which IMEX channels a container asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ImexRequest {
    /// Every channel that has a node. Only a mount, which the engine makes, can say so.
    All {
        /// The mount.
        from: String,
    },
    /// These, each once; often none.
    Channels(Vec<ImexName>),
}

/// A channel as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImexName {
    /// Its number, 0 to 1048575; `None` when the text is none.
    pub number: Option<u32>,
    /// As it was written: `1` or `channel1`.
    pub text: String,
    /// The variable or mount that holds it.
    pub from: String,
}

/// The channels a container asks for.
pub(super) fn find(view: &ContainerView, config: &Config, warnings: &mut Vec<String>) -> ImexRequest {
    let none = ImexRequest::Channels(Vec::new());
    if config.features.ignore_imex_channel_requests {
        return none;
    }
    let mounted: Vec<String> =
        requests_by_mount(view, config).filter_map(|rest| rest.strip_prefix("imex/").map(str::to_owned)).collect();
    if !mounted.is_empty() {
        return list(mounted.iter().map(String::as_str), "mount of /dev/null");
    }
    let asked = || items(view.variable(VARIABLE).unwrap_or_default());
    if asked().next().is_none() || asked().any(|item| ["void", "none", "all"].contains(&item)) {
        return none;
    }
    if !environment_counts(view, config) {
        warnings.push(ignored(&[VARIABLE]));
        return none;
    }
    list(asked(), VARIABLE)
}

fn list<'a>(texts: impl Iterator<Item = &'a str> + Clone, from: &str) -> ImexRequest {
    if texts.clone().any(|text| text == "all") {
        return ImexRequest::All { from: from.to_owned() };
    }
    let mut seen = std::collections::HashSet::new();
    let named = texts.map(|text| ImexName { number: number(text), text: text.to_owned(), from: from.to_owned() });
    ImexRequest::Channels(named.filter(|name| seen.insert(name.number.ok_or_else(|| name.text.clone()))).collect())
}

fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("channel").unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?.filter(|number| *number <= LAST)
}
