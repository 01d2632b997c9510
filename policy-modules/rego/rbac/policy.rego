# Roles grant actions on keys, and inherit from one another. What no role grants is denied. The table is data.json: each
# role names the roles that it inherits from, and grants, each with actions and names of keys (`*` at the end stands for
# any rest). Changing who may do what changes the data and never this file.
package kmss.rbac

default decision := {
	"allow": false,
	"rule": 2,
	"reason": "no role of the principal grants this action on this key",
}

decision := {"allow": true, "rule": 1, "obligations": obligations} if granted

# The roles of the principal and all that they inherit.
effective := graph.reachable(inherits, input.roles)

inherits[role] := definition.inherits if some role, definition in data.rbac.roles

granted if {
	some role in effective
	some grant in data.rbac.roles[role].grants
	input.action in grant.actions
	some pattern in grant.keys
	matches(pattern)
}

matches("*")

matches(pattern) if pattern == input.key.name

matches(pattern) if {
	endswith(pattern, "*")
	startswith(input.key.name, trim_suffix(pattern, "*"))
}

# Break-glass is granted, and seen.
obligations contains {"type": "audit_tag", "value": "break-glass"} if "break-glass" in input.roles

obligations contains {"type": "notify", "channel": "security"} if "break-glass" in input.roles

obligations contains {"type": "step_up"} if "break-glass" in input.roles
