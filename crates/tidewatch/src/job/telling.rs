//! How alerts are told: what mutes them and how many go out, compiled for the rows of a branch.

use alert::{CapLimit, CapSpec};
use detect::Mute;
use event::RowSchema;

use super::expressions::Compiler;
use super::micros;
use crate::config::nearest::nearest;
use crate::config::{Branch, Code, Config, Diagnostic, Place};

impl Compiler<'_> {
    /// When nobody is told of episodes, in the order of the config.
    pub(super) fn mutes(&mut self, config: &Config, row: &RowSchema) -> Vec<Mute> {
        let mutes = config.telling.iter().flat_map(|telling| &telling.mutes);
        let compiled = mutes.map(|mute| Mute {
            name: mute.name.clone(),
            times: mute.times.clone(),
            rules: mute.rules.clone(),
            when: self.condition(mute.when.as_ref(), row.schema()),
        });
        compiled.collect()
    }

    /// How many alerts go out in a minute, and the columns of the row that make a group.
    pub(super) fn cap(&mut self, config: &Config, branch: &Branch, row: &RowSchema) -> Option<CapSpec> {
        let cap = config.telling.as_ref()?.cap.as_ref()?;
        let mut by = Vec::new();
        for (name, place) in &cap.by {
            match row.schema().index_of(name) {
                Some(column) => by.push(column),
                None if self.broken.contains(name) => {}
                None => {
                    let whose =
                        branch.name.as_ref().map_or("the job".to_owned(), |name| format!("branch `{name}`"));
                    let message = format!("rows of {whose} have no column `{name}`");
                    let names = row.schema().fields().iter().map(|field| field.name.as_str());
                    let help = match nearest(name, names) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => {
                            format!("add it to the key, or a feature as `{name} = \"last({name})\"`")
                        }
                    };
                    self.report(Diagnostic::new(Code::Expression, place.clone(), message).with_help(help));
                }
            }
        }
        let cooldown = micros(cap.cooldown);
        let limit = CapLimit { per_minute: cap.per_minute, cooldown };
        Some(CapSpec { limit, by, rules: cap.rules.clone() })
    }
}

/// Who tells of what rules find needs rules, and knows those that it names.
pub(super) fn check_alerts(config: &Config, compiler: &mut Compiler) {
    let Some(telling) = &config.telling else { return };
    let rules = || config.branches.iter().flat_map(|branch| &branch.rules).map(|rule| rule.id.as_str());
    if rules().next().is_none() {
        let message = "`[alerts]` is about what rules find, and the job has none";
        let diagnostic = Diagnostic::new(Code::Conflict, telling.place.clone(), message);
        return compiler.report(diagnostic.with_help("add `[rules.ID]`, or take `[alerts]` out"));
    }
    let mut check = |whose: &str, named: &[String], place: &Place| {
        for name in named.iter().filter(|name| !rules().any(|rule| rule == name.as_str())) {
            let message = format!("{whose} is about a rule `{name}`, which there is not");
            let diagnostic = Diagnostic::new(Code::Conflict, place.clone(), message);
            let known = rules().collect::<Vec<_>>().join(", ");
            compiler.report(diagnostic.with_help(format!("the rules are {known}")));
        }
    };
    for mute in &telling.mutes {
        check(&format!("mute `{}`", mute.name), &mute.rules, &mute.place);
    }
    if let Some(cap) = &telling.cap {
        check("the cap", &cap.rules, &cap.place);
    }
}
