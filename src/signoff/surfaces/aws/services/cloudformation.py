"""CloudFormation: stacks, change sets, and the rewriting of a stack's deletion. Pure.

Deleting a stack is never sent as it came: first the stateful resources get a
DeletionPolicy that keeps them, then the stack goes, and what was kept can be imported
into a stack of the same template again. What cannot be kept is named before anyone signs.
Source: AWS CloudFormation User Guide, "DeletionPolicy attribute", "Import AWS resources".
"""

from __future__ import annotations

from dataclasses import replace

from signoff.model.effect import Bound, Effect, Kind, Resource, Reversibility, Step, Verb
from signoff.model.values import Data, digest
from signoff.surfaces.aws import case as c
from signoff.surfaces.aws.case import Case, Reading, Undoing, effect
from signoff.surfaces.aws.services import stacks
from signoff.surfaces.aws.services.stacks import Stack, facts_of
from signoff.surfaces.aws.templates import (
    Changed,
    compare,
    has_macro,
    kept,
    only,
    read_template,
    resources,
    with_policies,
    write_template,
)
from signoff.surfaces.base import Restoration

SAFER = (
    "change the running stack through a change set: `aws cloudformation create-change-set`, "
    "look at it with `describe-change-set`, then `execute-change-set`"
)
SECRET = "****"  # noqa: S105  what CloudFormation shows of a NoEcho parameter
STACK_POLICY = (
    "StackPolicyBody",
    "StackPolicyURL",
    "StackPolicyDuringUpdateBody",
    "StackPolicyDuringUpdateURL",
)
STACK_RESIDUE = "the stack's id and its history"


# --- deleting a stack ----------------------------------------------------------------------


def delete_stack(case: Case) -> Reading:
    """The stack and everything in it, as it will be after the rewriting."""
    given = case.text("StackName")
    stack = stacks.read_stack(case, given)
    here = stacks.stack_resource(case, given, stack.described)
    if stack.missing:
        return c.single(effect(Verb.DELETE, here, because="there is no such stack"))
    plan = retaining(case, stack)
    policies = stacks.retained(stack) if plan else own_policies(stack)
    found = [_stack_effect(here, stack, bool(plan))]
    for one in stack.resources or ():
        logical = c.text(one.get("LogicalResourceId"))
        type_, physical = c.text(one.get("ResourceType")), c.text(one.get("PhysicalResourceId"))
        if physical:
            policy = policies.get(logical, "")
            found.append(stacks.deleted(case, here, type_, physical, policy))
    unknown = () if stack.resources is not None else ("the resources of the stack",)
    return Reading(tuple(found), unknown, plan, SAFER)


def _stack_effect(here: Resource, stack: Stack, rewritten: bool) -> Effect:
    why = "deletes the stack"
    if stack.described.get("EnableTerminationProtection") is True:
        why = "deletes the stack; its termination protection is on, so AWS will refuse"
    count = len(stack.resources) if stack.resources is not None else None
    known = Reversibility.BOUNDED if rewritten else Reversibility.NONE
    residue = STACK_RESIDUE
    if rewritten and SECRET in stack.parameters.values():
        known = Reversibility.DEGRADED
        residue = f"{STACK_RESIDUE}; the values of its secret parameters"
    return effect(Verb.DELETE, here, known, Bound(count, "resources"), residue=residue, because=why)


def own_policies(stack: Stack) -> dict[str, str]:
    """The DeletionPolicy each resource has already, where it keeps something."""
    found = resources(stack.template) if stack.template is not None else {}
    return {logical: kept(r) for logical, r in found.items() if kept(r)}


def retaining(case: Case, stack: Stack) -> tuple[Step, ...]:
    """The two steps that keep what is stateful; () when the stack cannot be rewritten
    (nobody knows its template or resources, or the template is too large to be sent)."""
    if stack.template is None or stack.resources is None or case.get("RetainResources"):
        return ()
    policies = stacks.retained(stack)
    listed = {c.text(r.get("LogicalResourceId")) for r in stack.resources}
    if not listed <= set(resources(stack.template)) or has_macro(stack.template):
        return ()
    mark = f"retained for {digest([stack.described.get('StackId'), case.action.digest])[:12]}"
    changed = with_policies(stack.template, policies, mark)
    delete = Step(case.action, until=c.STACK_SETTLED)
    if digest(changed) == digest(stack.template):
        return (delete,)
    body = write_template(changed)
    if body is None:
        return ()
    update = case.step(
        "cloudformation:UpdateStack",
        same_settings(stack),
        until=c.STACK_SETTLED,
        StackName=case.text("StackName"),
        TemplateBody=body,
    )
    return (update, delete)


def same_settings(stack: Stack) -> dict[str, object]:
    """Parameters and capabilities of an update that changes neither."""
    found: dict[str, object] = {}
    if stack.parameters:
        found["Parameters"] = [
            {"ParameterKey": k, "UsePreviousValue": True} for k in sorted(stack.parameters)
        ]
    capabilities = capabilities_of(stack)
    if capabilities:
        found["Capabilities"] = capabilities
    return found


def capture_stack(case: Case) -> None:
    """Description, resources and template: what is needed to make the stack again."""
    stacks.read_stack(case, case.text("StackName"))


def restore_deleted(undoing: Undoing) -> Restoration:
    """Import what was kept into a stack of the same name, then the whole template again."""
    case = undoing.case()
    stack = stacks.read_stack(case, case.text("StackName"))
    if stack.template is None or stack.resources is None:
        return Restoration((), ("the stack was not captured",))
    policies = stacks.retained(stack)
    importable = [r for r in stack.resources if _identifier(r) and _retained(r, policies)]
    settings = full_settings(stack)
    name = stack.name
    steps: list[Step] = []
    if importable:
        steps += _import(case, stack, importable, settings)
    body = body_of(stack)
    last = "cloudformation:UpdateStack" if importable else "cloudformation:CreateStack"
    whole = case.step(last, settings, until=c.STACK_SETTLED, StackName=name, TemplateBody=body)
    steps.append(_foreseeing(case, stack, whole, Verb.CREATE, "makes again what was deleted"))
    if stack.described.get("EnableTerminationProtection") is True:
        protect = case.step(
            "cloudformation:UpdateTerminationProtection",
            StackName=name,
            EnableTerminationProtection=True,
        )
        steps.append(_foreseeing(case, stack, protect, Verb.UPDATE, "protects the stack again"))
    return Restoration(tuple(steps), (STACK_RESIDUE, *_residue(stack, policies)))


def _import(
    case: Case, stack: Stack, importable: list[Data], settings: dict[str, object]
) -> list[Step]:
    assert stack.template is not None
    logical = {c.text(r.get("LogicalResourceId")) for r in importable}
    alone = only(stack.template, logical, _physical(case, stack))
    name = f"signoff-import-{digest([stack.described.get('StackId')])[:12]}"
    create = case.step(
        "cloudformation:CreateChangeSet",
        settings,
        until=c.CHANGE_SET_READY,
        StackName=stack.name,
        ChangeSetName=name,
        ChangeSetType="IMPORT",
        ResourcesToImport=[_import_entry(r) for r in importable],
        TemplateBody=write_template(alone) or "",
    )
    execute = case.step(
        "cloudformation:ExecuteChangeSet",
        until=c.STACK_SETTLED,
        StackName=stack.name,
        ChangeSetName=name,
    )
    return [
        _foreseeing(case, stack, create, Verb.CREATE, "plans the import"),
        _foreseeing(case, stack, execute, Verb.CREATE, "adopts what was kept"),
    ]


def _foreseeing(case: Case, stack: Stack, step: Step, verb: Verb, why: str) -> Step:
    """A step of the way back with what it will do to the stack: by itself it could not be
    understood, because the stack it works on is only there once the earlier steps ran."""
    here = stacks.stack_resource(case, stack.name, stack.described)
    return replace(step, foreseen=(effect(verb, here, Reversibility.BOUNDED, because=why),))


def _identifier(resource: Data) -> str:
    return c.text(facts_of(c.text(resource.get("ResourceType"))).get("identifier"))


def _retained(resource: Data, policies: object) -> bool:
    assert isinstance(policies, dict)
    policy = policies.get(c.text(resource.get("LogicalResourceId")), "")
    return str(policy).startswith("Retain")


def _import_entry(resource: Data) -> dict[str, object]:
    return {
        "ResourceType": resource.get("ResourceType"),
        "LogicalResourceId": resource.get("LogicalResourceId"),
        "ResourceIdentifier": {_identifier(resource): resource.get("PhysicalResourceId")},
    }


def _physical(case: Case, stack: Stack) -> dict[str, dict[str, str]]:
    found = {}
    here = stacks.stack_resource(case, stack.name, stack.described)
    for one in stack.resources or ():
        physical = c.text(one.get("PhysicalResourceId"))
        type_ = c.text(one.get("ResourceType"))
        uid = stacks.member(case, here, type_, physical).uid
        found[c.text(one.get("LogicalResourceId"))] = {"": physical, "Arn": uid}
    return found


def _residue(stack: Stack, policies: object) -> list[str]:
    found = []
    for one in stack.resources or ():
        if not _retained(one, policies):
            row = facts_of(c.text(one.get("ResourceType")))
            if row.get("residue"):
                found.append(f"{c.text(one.get('LogicalResourceId'))}: {c.text(row['residue'])}")
        elif not _identifier(one):
            found.append(f"{c.text(one.get('LogicalResourceId'))}: has to be imported by hand")
    return found


def capabilities_of(stack: Stack) -> tuple[str, ...]:
    """What the stack was allowed to make; where nobody says, what its template needs."""
    given = c.texts(stack.described.get("Capabilities"))
    types = [c.text(r.get("Type")) for r in resources(stack.template or {}).values()]
    needed = any(t.startswith("AWS::IAM::") for t in types)
    return given or (("CAPABILITY_NAMED_IAM",) if needed else ())


def full_settings(stack: Stack) -> dict[str, object]:
    """Parameters with their values, capabilities and tags, for a stack made again."""
    found: dict[str, object] = {}
    given = {k: v for k, v in stack.parameters.items() if v != SECRET}
    if given:
        found["Parameters"] = [
            {"ParameterKey": k, "ParameterValue": v} for k, v in sorted(given.items())
        ]
    capabilities = capabilities_of(stack)
    if capabilities:
        found["Capabilities"] = capabilities
    if stack.described.get("Tags"):
        found["Tags"] = stack.described["Tags"]
    return found


def body_of(stack: Stack) -> str:
    """The template body as it was given; data that was decoded is written again."""
    if isinstance(stack.body, str):
        return stack.body
    return write_template(stack.template or {}) or ""


# --- changing a stack ------------------------------------------------------------------------


def update_stack(case: Case) -> Reading:
    """What a new template or new parameters change, by comparing with the running ones."""
    given = case.text("StackName")
    stack = stacks.read_stack(case, given)
    here = stacks.stack_resource(case, given, stack.described)
    new = _new_template(case, stack)
    if new is None or stack.template is None or stack.resources is None:
        missing = "the new template" if new is None else "the running template"
        unknown = f"what the update changes: {missing} is not known"
        return Reading((effect(Verb.UNKNOWN, here, because=unknown),), (unknown,), (), SAFER)
    if has_macro(new) or has_macro(stack.template):
        unknown = "what the update changes: a macro writes the template"
        return Reading((effect(Verb.UNKNOWN, here, because=unknown),), (unknown,), (), SAFER)
    found = [effect(Verb.UPDATE, here, Reversibility.BOUNDED, because="updates the stack")]
    if any(case.get(member) for member in STACK_POLICY):
        why = "sets aside or exchanges the stack's own policy"
        found.append(effect(Verb.DISARM, here, because=why))
    for change in compare(stack.template, new, changed_parameters(case, stack)):
        found.extend(_change(case, here, stack, change))
    return Reading(tuple(found), safer=SAFER)


def _new_template(case: Case, stack: Stack) -> Data | None:
    if case.get("UsePreviousTemplate") is True:
        return stack.template
    return read_template(case.get("TemplateBody"))


def changed_parameters(case: Case, stack: Stack) -> frozenset[str]:
    """Names of the parameters whose value would be another."""
    given = {}
    for one in c.entries(case.get("Parameters")):
        name = c.text(one.get("ParameterKey"))
        if one.get("UsePreviousValue") is not True:
            given[name] = c.text(one.get("ParameterValue"))
    listed = {c.text(o.get("ParameterKey")) for o in c.entries(case.get("Parameters"))}
    changed = {n for n, v in given.items() if stack.parameters.get(n) != v}
    return frozenset(changed | (set(stack.parameters) - listed))


def _change(case: Case, here: Resource, stack: Stack, change: Changed) -> tuple[Effect, ...]:
    if change.how == "added":
        return (stacks.added(case, here, change.type, change.logical),)
    physical = _physical_id(stack, change.logical)
    if change.how == "removed":
        policy = own_policies(stack).get(change.logical, "")
        return (stacks.deleted(case, here, change.type, physical, policy),)
    row = facts_of(change.type)
    replacing = c.texts(row.get("replacing"))
    in_place = "replacing" in row and not set(change.properties) & {*replacing, "*"}
    names = ", ".join(change.properties)
    if in_place:
        why = f"changes {names}"
        return stacks.changed(case, here, change.type, physical, change.properties, why)
    return (_replaced(case, here, change.type, physical, f"{names} may replace it"),)


def _physical_id(stack: Stack, logical: str) -> str:
    for one in stack.resources or ():
        if one.get("LogicalResourceId") == logical:
            return c.text(one.get("PhysicalResourceId")) or logical
    return logical


def _replaced(case: Case, here: Resource, type_: str, physical: str, why: str) -> Effect:
    gone = stacks.deleted(case, here, type_, physical)
    return replace(gone, verb=Verb.REPLACE, because=why)


def create_change_set(case: Case) -> Reading:
    """A plan for a running stack changes nothing until it is executed, so making one is
    looking. For a new stack it also makes an empty stack to hold it, and a macro runs code
    as soon as the plan is made."""
    given = case.text("StackName")
    stack = stacks.read_stack(case, given)
    here = stacks.stack_resource(case, given, stack.described)
    name = case.text("ChangeSetName")
    uid = f"{here.uid}/change-set/{name}"
    plan = Resource(uid, "cloudformation:change-set", here.environment, Kind.CONFIG)
    new = _new_template(case, stack)
    running = bool(stack.described) and case.text("ChangeSetType") in ("", "UPDATE")
    if running and new is not None and not has_macro(new):
        why = "a plan for a running stack: nothing changes until it is executed"
        return c.single(effect(Verb.READ, plan, Reversibility.EXACT, because=why))
    found = [effect(Verb.CREATE, plan, Reversibility.EXACT, because="a plan, and what holds it")]
    if new is None or has_macro(new):
        why = "a macro in the template would run when the plan is made"
        found.append(effect(Verb.EXECUTE, here, because=why))
    return Reading(tuple(found))


def capture_change_set(case: Case) -> None:
    """Whether a change set of this name is there already."""
    stacks.describe(case, case.text("StackName"))
    case.ask(
        "cloudformation:DescribeChangeSet",
        StackName=case.text("StackName"),
        ChangeSetName=case.text("ChangeSetName"),
    )


def restore_change_set(undoing: Undoing) -> Restoration:
    """Delete the change set, and the empty stack that was made to hold it."""
    case = undoing.case()
    name, given = case.text("ChangeSetName"), case.text("StackName")
    _, missing = stacks.describe(case, given)
    steps = [case.step("cloudformation:DeleteChangeSet", StackName=given, ChangeSetName=name)]
    if missing:
        steps.append(
            case.step("cloudformation:DeleteStack", until=c.STACK_SETTLED, StackName=given)
        )
    return Restoration(tuple(steps))


def delete_change_set(case: Case) -> Reading:
    """A plan nobody executed. It is not made again: whoever made it has its template."""
    given = case.text("StackName")
    described, _ = stacks.describe(case, given)
    here = stacks.stack_resource(case, given or case.text("ChangeSetName"), described)
    uid = f"{here.uid}/change-set/{case.text('ChangeSetName')}"
    plan = Resource(uid, "cloudformation:change-set", here.environment, Kind.CONFIG)
    why = "drops a plan; nothing that runs changes"
    known = Reversibility.DEGRADED
    return c.single(effect(Verb.DELETE, plan, known, residue="the plan", because=why))


def execute_change_set(case: Case) -> Reading:
    """Every change the set lists, as CloudFormation itself sees it."""
    name, given = case.text("ChangeSetName"), case.text("StackName")
    answer = case.ask(
        "cloudformation:DescribeChangeSet",
        StackName=given or None,
        ChangeSetName=name,
        paginate=True,
    )
    of = given or c.text(answer.value.get("StackName"))
    stack = stacks.read_stack(case, of) if of else None
    described = stack.described if stack else {}
    here = stacks.stack_resource(case, of or name, described)
    if stack is None or not answer.ok or answer.truncated:
        unknown = f"the changes of `{name}`"
        return Reading((effect(Verb.UNKNOWN, here, because=unknown),), (unknown,), (), SAFER)
    found = [effect(Verb.UPDATE, here, Reversibility.BOUNDED, because="executes a change set")]
    for change in c.entries(answer.value.get("Changes")):
        one = c.mapping(change.get("ResourceChange"))
        found.extend(_planned(case, here, stack, one))
    plan = _fenced(case, answer.value)
    return Reading(tuple(found), plan=plan)


def _fenced(case: Case, described: Data) -> tuple[Step, ...]:
    """The execution by the id of the very change set that was read, not by its name."""
    uid = c.text(described.get("ChangeSetId"))
    if not uid or case.text("ChangeSetName") == uid:
        return ()
    parameters = {**case.action.parameters, "ChangeSetName": uid}
    return (Step(replace(case.action, parameters=parameters)),)


def _planned(case: Case, here: Resource, stack: Stack, one: Data) -> tuple[Effect, ...]:
    type_, logical = c.text(one.get("ResourceType")), c.text(one.get("LogicalResourceId"))
    physical = c.text(one.get("PhysicalResourceId")) or _physical_id(stack, logical)
    scope = ", ".join(c.texts(one.get("Scope")))
    match one.get("Action"):
        case "Add":
            return (stacks.added(case, here, type_, logical),)
        case "Remove":
            policy = "Retain" if one.get("PolicyAction") == "Retain" else ""
            policy = policy or own_policies(stack).get(logical, "")
            return (stacks.deleted(case, here, type_, physical, policy),)
        case "Modify" if one.get("Replacement") in ("True", "Conditional"):
            why = "CloudFormation says it is replaced: " + c.text(one.get("Replacement"))
            return (_replaced(case, here, type_, physical, why),)
        case "Modify" if one.get("Replacement") == "False":
            why = f"changes {scope or 'it in place'}"
            return stacks.changed(case, here, type_, physical, _properties(one), why)
        case "Modify":
            why = "CloudFormation does not say whether it is replaced"
            return (_replaced(case, here, type_, physical, why),)
        case "Import":
            resource = stacks.member(case, here, type_, physical)
            known = Reversibility.BOUNDED
            return (effect(Verb.UPDATE, resource, known, because="taken into the stack"),)
    resource = stacks.member(case, here, type_, physical)
    return (effect(Verb.UNKNOWN, resource, because="CloudFormation decides while it runs"),)


def _properties(change: Data) -> tuple[str, ...]:
    """Names of the properties a change set says it changes."""
    targets = (c.mapping(detail.get("Target")) for detail in c.entries(change.get("Details")))
    return tuple(c.text(target.get("Name")) for target in targets)


def capture_template(case: Case) -> None:
    """The running template and parameters; stable while the update still runs."""
    given = _updated_stack(case)
    stacks.describe(case, given)
    stacks.template_of(case, given)


def _updated_stack(case: Case) -> str:
    given = case.text("StackName")
    uid = case.text("ChangeSetName")
    if not given and uid.startswith("arn:"):
        answer = case.ask("cloudformation:DescribeChangeSet", ChangeSetName=uid, paginate=True)
        given = c.text(answer.value.get("StackName"))
    return given


def restore_updated(undoing: Undoing) -> Restoration:
    """Update the stack back to the template and parameters it had."""
    case = undoing.case()
    given = _updated_stack(case)
    described, missing = stacks.describe(case, given)
    template, body = stacks.template_of(case, given)
    status = c.text(described.get("StackStatus"))
    if missing or status == "REVIEW_IN_PROGRESS":
        delete = case.step("cloudformation:DeleteStack", until=c.STACK_SETTLED, StackName=given)
        return Restoration((delete,))
    stack = Stack(stacks.stack_name(given), missing, described, None, template, body)
    if template is None:
        return Restoration((), ("the template was not captured",))
    settings = full_settings(stack)
    secret = [k for k, v in stack.parameters.items() if v == SECRET]
    if secret:
        previous = [{"ParameterKey": k, "UsePreviousValue": True} for k in secret]
        old = settings.get("Parameters", [])
        assert isinstance(old, list)
        settings["Parameters"] = [*old, *previous]
    step = case.step(
        "cloudformation:UpdateStack",
        settings,
        until=c.STACK_SETTLED,
        StackName=given,
        TemplateBody=body_of(stack),
    )
    residue = tuple(f"the value of the secret parameter `{k}`" for k in secret)
    return Restoration((step,), residue)


# --- making a stack --------------------------------------------------------------------------


def create_stack(case: Case) -> Reading:
    """A new stack with everything its template holds."""
    name = case.text("StackName")
    stacks.describe(case, name)
    before = case.ask(
        "cloudformation:ListStacks", StackStatusFilter=("DELETE_COMPLETE",), paginate=True
    )
    gone = [s for s in c.entries(before.value.get("StackSummaries")) if s.get("StackName") == name]
    uid = case.arn("cloudformation", f"stack/{name}")
    tags = c.tags(case.get("Tags"))
    here = case.resource(uid, "cloudformation:stack", Kind.CONTAINER, name=name, tags=tags)
    template = read_template(case.get("TemplateBody"))
    why = "a stack of this name was deleted before: it is recreated" if gone else "a new stack"
    found = [effect(Verb.CREATE, here, Reversibility.BOUNDED, because=why)]
    if template is None or has_macro(template):
        unknown = ("what the template creates",)
        return Reading(tuple(found), unknown)
    for logical, resource in resources(template).items():
        found.append(stacks.added(case, here, c.text(resource.get("Type")), logical))
    safer = f"recreating is not restoring: take the deletion back instead. Or {SAFER}"
    return Reading(tuple(found), safer=safer if gone else "")


def capture_new_stack(case: Case) -> None:
    """Whether a stack of this name is there already."""
    stacks.describe(case, case.text("StackName"))
    stacks.template_of(case, case.text("StackName"))


def restore_created(undoing: Undoing) -> Restoration:
    """Delete the stack that was made, unless it was there before."""
    case = undoing.case()
    given = case.text("StackName")
    _, missing = stacks.describe(case, given)
    if not missing:
        return Restoration((), (f"`{given}` was there before",))
    step = case.step("cloudformation:DeleteStack", until=c.STACK_SETTLED, StackName=given)
    return Restoration((step,), ("what was written into its resources since",))


def termination_protection(case: Case) -> Reading:
    """Off: the safeguard before a deletion is gone."""
    given = case.text("StackName")
    described, _ = stacks.describe(case, given)
    here = stacks.stack_resource(case, given, described)
    off = case.get("EnableTerminationProtection") is not True
    verb = Verb.DISARM if off else Verb.UPDATE
    why = "turns termination protection off" if off else "turns termination protection on"
    return c.single(effect(verb, here, Reversibility.BOUNDED, because=why), safer=SAFER)


def capture_description(case: Case) -> None:
    """The stack's description."""
    stacks.describe(case, case.text("StackName"))


def restore_protection(undoing: Undoing) -> Restoration:
    """Termination protection as it was."""
    case = undoing.case()
    given = case.text("StackName")
    described, _ = stacks.describe(case, given)
    was = described.get("EnableTerminationProtection") is True
    step = case.step(
        "cloudformation:UpdateTerminationProtection",
        StackName=given,
        EnableTerminationProtection=was,
    )
    return Restoration((step,))


OPERATIONS: dict[str, tuple[c.Read, c.Capture, c.Restore]] = {
    "cloudformation:DeleteStack": (delete_stack, capture_stack, restore_deleted),
    "cloudformation:UpdateStack": (update_stack, capture_template, restore_updated),
    "cloudformation:ExecuteChangeSet": (execute_change_set, capture_template, restore_updated),
    "cloudformation:CreateChangeSet": (create_change_set, capture_change_set, restore_change_set),
    "cloudformation:DeleteChangeSet": (
        delete_change_set,
        c.capture_nothing,
        c.nothing_to_restore,
    ),
    "cloudformation:CreateStack": (create_stack, capture_new_stack, restore_created),
    "cloudformation:UpdateTerminationProtection": (
        termination_protection,
        capture_description,
        restore_protection,
    ),
}
"""How each operation is read, captured and restored."""
