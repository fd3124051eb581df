"""A CustomResourceDefinition with two served versions."""

WIDGET = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.house.example}
spec:
  group: house.example
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v2
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              description: {type: string}
              size: {type: integer, minimum: 1}
              link: {type: string}
            x-kubernetes-validations:
            - rule: self.size < 10
              message: is too large
            - rule: "!has(self.link) || isURL(self.link)"
  - name: v1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v0
    served: false
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}
  scope: Namespaced
"""


def widget(spec: str, version: str = "v2") -> str:
    return f"apiVersion: house.example/{version}\nkind: Widget\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
