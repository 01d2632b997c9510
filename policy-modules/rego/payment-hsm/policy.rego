# Separation of duties in a payment namespace (PCI PIN Security Requirements v3.1, 3-1, 6-1 and 13; PCI DSS v4.0, 3.7):
# custodians make and destroy keys, two of them together; operators look after the namespace and touch no key material;
# auditors look; applications compute, each kind of key for its own purpose. Nobody holds two of these duties, and keys
# never leave in clear. Purposes are tags: `purpose:pin`, `purpose:mac`, `purpose:data`, `purpose:zone-master`.
#
# data.json says which duty may do what, and what keys of each purpose are for.
package kmss.payment

duties := {role | some role in input.roles; role in object.keys(data.payment.duties)}

purposes := {purpose |
	some tag in input.key.tags
	startswith(tag, "purpose:")
	purpose := trim_prefix(tag, "purpose:")
}

# Why not: the lowest number is told.
denials[1] := "one person holds several duties that must be kept apart" if count(duties) > 1

denials[2] := "payment keys never leave in clear" if input.action == "export"

denials[3] := "the duty of the principal does not include this action" if {
	count(duties) == 1
	not permitted
}

denials[4] := "the principal has no duty in the payment namespace" if count(duties) == 0

denials[5] := "a payment key has exactly one purpose" if {
	input.key != null
	count(purposes) != 1
}

denials[6] := "keys of this purpose are not used so" if {
	input.action in data.payment.computing
	some purpose in purposes
	not input.action in object.get(data.payment.purposes, purpose, [])
}

denials[7] := "zone master keys wrap with AES-KWP or AES-GCM only" if {
	input.action in {"wrap", "unwrap"}
	not input.mechanism in {"AES_KEY_WRAP_KWP", "AES_GCM"}
}

permitted if {
	some duty in duties
	input.action in data.payment.duties[duty]
}

decision := {"applicable": false} if {
	input.namespace != data.payment.namespace
} else := {"allow": false, "rule": first, "reason": denials[first]} if {
	first := min(object.keys(denials))
} else := {"allow": true, "rule": 10, "obligations": obligations} if {
	permitted
}

# Two custodians besides the one who asks, for this one operation.
obligations contains {"type": "quorum", "approvals": 2, "role": "custodian", "window": 0} if {
	"custodian" in duties
	input.action != "find"
}

obligations contains {"type": "notify", "channel": "payment-security"} if {
	"custodian" in duties
	input.action != "find"
}

obligations contains {"type": "step_up"} if {
	"operator" in duties
	input.action != "find"
}

obligations contains {"type": "audit_tag", "value": concat("", ["pci:", duty])} if some duty in duties
