// A scan every night as a Container Apps job, by an identity of its own that holds no secret.
//
//     az deployment group create --resource-group RESOURCE-GROUP --template-file job.bicep --parameters ...
//
// job.json is the same for those without Bicep. Then role.bicep, at the management group, with the output principalId.
targetScope = 'resourceGroup'

@description('Name of the job and of its identity.')
param name string = 'auditor'

@description('Region of both.')
param location string = resourceGroup().location

@description('Id of the Container Apps environment that runs it.')
param environmentId string

@description('The image, best by digest: registry/auditor@sha256:...')
param image string

@description('The registry of the image, such as contoso.azurecr.io, if it wants a sign-in: the identity needs AcrPull there.')
param registryServer string = ''

@description('Storage account of this resource group that takes the reports.')
param storageAccountName string

@description('Its container for them.')
param containerName string = 'reports'

@description('The management group to audit, by id.')
param managementGroupId string

@description('When, in UTC.')
param cronExpression string = '17 2 * * *'

@description('How long runs are kept: a number of them, or days as in 90d.')
param keep string = '90d'

var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

resource reports 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  name: '${storageAccountName}/default/${containerName}'
}

resource delivery 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(reports.id, identity.id, blobDataContributor)
  scope: reports
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
  }
}

resource job 'Microsoft.App/jobs@2025-01-01' = {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environmentId
    configuration: {
      triggerType: 'Schedule'
      scheduleTriggerConfig: {
        cronExpression: cronExpression
        parallelism: 1
        replicaCompletionCount: 1
      }
      replicaTimeout: 14400
      replicaRetryLimit: 0
      registries: empty(registryServer) ? [] : [
        {
          server: registryServer
          identity: identity.id
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'auditor'
          image: image
          args: [
            'scan'
            '--auth=managed-identity'
            '--management-group-id=${managementGroupId}'
            '--output-dir=https://${storageAccountName}.blob.${environment().suffixes.storage}/${containerName}/port25'
            '--work-dir=/data'
            '--baseline=latest'
            '--keep=${keep}'
            '--no-progress'
            '--log-format=json'
          ]
          env: [
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.properties.clientId
            }
          ]
          resources: {
            cpu: json('1.0')
            memory: '2Gi'
          }
        }
      ]
    }
  }
}

output principalId string = identity.properties.principalId
