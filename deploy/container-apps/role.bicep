// The least role at a management group, and its assignment to the job's identity.
//
//     az deployment mg create --management-group-id GROUP --location REGION --template-file role.bicep \
//       --parameters principalId=PRINCIPAL-ID
//
// role.json is the same for those without Bicep. The actions are those of `auditor doctor --role`.
targetScope = 'managementGroup'

@description('Object id of the identity: the output principalId of job.bicep.')
param principalId string

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(managementGroup().id, 'auditor')
  properties: {
    roleName: 'SMTP Egress Auditor'
    description: 'Reads what decides whether virtual machines can send mail on TCP 25; changes nothing.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          '*/read'
          'Microsoft.Network/networkInterfaces/effectiveRouteTable/action'
          'Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups/action'
          'Microsoft.Network/virtualNetworks/listNetworkManagerEffectiveSecurityAdminRules/action'
          'Microsoft.Network/virtualHubs/effectiveRoutes/action'
          'Microsoft.Network/virtualNetworkGateways/getLearnedRoutes/action'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      managementGroup().id
    ]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(managementGroup().id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
  }
}
