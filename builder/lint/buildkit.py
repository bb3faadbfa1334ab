"""The rules of BuildKit, by its names, with its descriptions and pages. They are what an ordinary build checks."""

from __future__ import annotations

from builder.lint import meaning, structure
from builder.lint.finding import WARNING, Check, Rule

_PAGES = "https://docs.docker.com/go/dockerfile/rule/"


def _rule(name: str, page: str, check: Check, summary: str, *, experimental: bool = False) -> Rule:
    url = f"{_PAGES}{page}/" if page else ""
    return Rule(name, summary, WARNING, url, check, default=not experimental, experimental=experimental)


RULES = (
    _rule("StageNameCasing", "stage-name-casing", structure.stage_name_casing, "Stage names should be lowercase"),
    _rule("FromAsCasing", "from-as-casing", structure.from_as_casing, "The 'as' keyword should match the case of the 'from' keyword"),
    _rule("NoEmptyContinuation", "no-empty-continuation", structure.no_empty_continuation, "Empty continuation lines will become errors in a future release"),
    _rule("ConsistentInstructionCasing", "consistent-instruction-casing", structure.consistent_instruction_casing, "All commands within the Dockerfile should use the same casing (either upper or lower)"),
    _rule("DuplicateStageName", "duplicate-stage-name", structure.duplicate_stage_name, "Stage names should be unique"),
    _rule("ReservedStageName", "reserved-stage-name", structure.reserved_stage_name, "Reserved words should not be used as stage names"),
    _rule("JSONArgsRecommended", "json-args-recommended", structure.json_args_recommended, "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"),
    _rule("MaintainerDeprecated", "maintainer-deprecated", structure.maintainer_deprecated, "The MAINTAINER instruction is deprecated, use a label instead to define an image author"),
    _rule("UndefinedArgInFrom", "undefined-arg-in-from", meaning.undefined_arg_in_from, "FROM command must use declared ARGs"),
    _rule("WorkdirRelativePath", "workdir-relative-path", meaning.workdir_relative_path, "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes"),
    _rule("UndefinedVar", "undefined-var", meaning.undefined_var, "Variables should be defined before their use"),
    _rule("MultipleInstructionsDisallowed", "multiple-instructions-disallowed", structure.multiple_instructions_disallowed, "Multiple instructions of the same type should not be used in the same stage"),
    _rule("LegacyKeyValueFormat", "legacy-key-value-format", structure.legacy_key_value_format, "Legacy key/value format with whitespace separator should not be used"),
    _rule("InvalidBaseImagePlatform", "", meaning.invalid_base_image_platform, "Base image platform does not match expected target platform"),
    _rule("RedundantTargetPlatform", "redundant-target-platform", meaning.redundant_target_platform, "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"),
    _rule("SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env", meaning.secrets_used_in_arg_or_env, "Sensitive data should not be used in the ARG or ENV commands"),
    _rule("InvalidDefaultArgInFrom", "invalid-default-arg-in-from", meaning.invalid_default_arg_in_from, "Default value for global ARG results in an empty or invalid base image name"),
    _rule("FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed", meaning.from_platform_flag_const_disallowed, "FROM --platform flag should not use a constant value"),
    _rule("CopyIgnoredFile", "copy-ignored-file", meaning.copy_ignored_file, "Attempting to Copy file that is excluded by .dockerignore"),
    _rule("InvalidDefinitionDescription", "invalid-definition-description", structure.invalid_definition_description, "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.", experimental=True),
    _rule("ExposeProtoCasing", "expose-proto-casing", meaning.expose_proto_casing, "Protocol in EXPOSE instruction should be lowercase"),
    _rule("ExposeInvalidFormat", "expose-invalid-format", meaning.expose_invalid_format, "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release"),
)  # fmt: skip
